"""Sessions use dummy credentials for a local endpoint, and the user's own for AWS."""

from __future__ import annotations

import pytest

from local_cloud import clients, emulator
from local_cloud.lifecycle import Cloud


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("http://127.0.0.1:4566", True),
        ("http://localhost:4566", True),
        ("http://localhost.localstack.cloud:4566", True),
        ("http://localstack:4566", True),
        ("http://192.168.1.4:4566", True),
        ("https://s3.eu-west-1.amazonaws.com", False),
        ("http://8.8.8.8", False),
        (None, False),
    ],
)
def test_dummy_credentials_are_used_only_in_private_networks(endpoint: str | None, local: bool) -> None:
    assert clients.is_local(endpoint) is local


def test_a_local_session_connects_to_the_cloud(cloud: Cloud) -> None:
    session = clients.session(cloud.endpoint)
    assert session.region_name == "us-east-1"
    assert session.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_the_endpoint_variable_has_precedence(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    assert clients.session("http://127.0.0.1:1").client("s3").meta.endpoint_url == cloud.endpoint


def test_without_an_endpoint_the_session_is_for_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    session = clients.session()
    assert session.get_credentials().access_key == "AKIAIOSFODNN7EXAMPLE"
    client = session.client("s3", region_name="eu-west-1")
    assert client.meta.endpoint_url == "https://s3.eu-west-1.amazonaws.com"


def test_another_release_of_ministack_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "version", lambda name: "9.9.9")
    with pytest.raises(emulator.EmulatorMismatch, match=r"MiniStack 9\.9\.9 .*ministack==1\.5\.33"):
        emulator.require_version()


def test_a_replacement_without_its_target_stops_the_start() -> None:
    owner = emulator.module("core.arn")
    with pytest.raises(emulator.EmulatorMismatch, match=r"core\.arn\.no_such_name does not exist"):
        emulator.replace(owner, "no_such_name", None)
