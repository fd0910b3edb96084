"""A stage "dev" on moto, with a scripted Step Functions."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from cli.shared.platform import Platform
from tests.unit.cli.fakes import StepFunctions, create_stage


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "DRIFTLESS_STAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def states() -> StepFunctions:
    return StepFunctions()


@pytest.fixture
def aws(states: StepFunctions, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A stage ``dev`` with its parameters, buckets and registry table on moto."""
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        create_stage(session)
        original = Platform.client
        monkeypatch.setattr(Platform, "client", lambda self, name: states if name == "stepfunctions" else original(self, name))
        yield Platform("dev", session, None)


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()
