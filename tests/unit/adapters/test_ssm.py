"""A parameter is read when it is first needed, and cached for a minute."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from moto import mock_aws

from driftless.adapters.ssm import REMEMBERED_SECONDS, parameter, remembered
from driftless.errors import NotFound


def test_a_parameter_is_read_once_a_minute_and_a_failure_is_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    now, reads = [0.0], list[str]()
    with mock_aws():
        client = boto3.client("ssm", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        get = client.get_parameter

        def counted(**given: Any) -> Any:
            reads.append(given["Name"])
            return get(**given)

        monkeypatch.setattr(client, "get_parameter", counted)
        read = remembered("/driftless/dev/commit", client=client, monotonic=lambda: now[0])
        assert reads == [], "composing reads nothing"
        with pytest.raises(NotFound):
            read()
        client.put_parameter(Name="/driftless/dev/commit", Value="one", Type="String")
        assert [read(), read()] == ["one", "one"]
        assert len(reads) == 2
        client.put_parameter(Name="/driftless/dev/commit", Value="two", Type="String", Overwrite=True)
        now[0] = REMEMBERED_SECONDS - 1
        assert read() == "one"
        now[0] = REMEMBERED_SECONDS
        assert read() == parameter("/driftless/dev/commit", client=client) == "two"
