"""Access logs of a REST API: one line per request, in the stage's format."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local_cloud import lifecycle
from local_cloud.mends.access_logs import fill
from tests.local_cloud.mends.conftest import Recorder, RestApi

Clients = Callable[[str], Any]
FUNCTION = """
import json
def handler(event, context):
    if event["path"] == "/raise": raise ValueError("told to")
    return {"statusCode": 201, "body": json.dumps(event["requestContext"]["requestId"])}
"""
NAMES = (
    "requestId",
    "extendedRequestId",
    "apiId",
    "stage",
    "accountId",
    "httpMethod",
    "path",
    "resourcePath",
    "status",
    "protocol",
    "responseLength",
    "responseLatency",
    "integration.latency",
    "integration.status",
    "requestTime",
    "requestTimeEpoch",
    "identity.sourceIp",
    "identity.userAgent",
    "identity.user",
    "error.message",
    "error.responseType",
)


class Log:
    """A log group for access logs."""

    def __init__(self, logs: Any) -> None:
        self._logs, self.name = logs, f"access-{uuid.uuid4().hex[:8]}"
        logs.create_log_group(logGroupName=self.name)
        self.arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{self.name}"

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(event["message"]) for event in self._logs.filter_log_events(logGroupName=self.name)["events"]]


@pytest.fixture
def log(client: Clients) -> Log:
    return Log(client("logs"))


@pytest.fixture
def api(client: Clients, cloud: lifecycle.Cloud, recorder: Callable[..., Recorder], log: Log) -> RestApi:
    api = RestApi(client("apigateway"), cloud.endpoint, recorder(source=FUNCTION).arn)
    text = json.dumps({name: f"$context.{name}" for name in NAMES})
    settings = {"destinationArn": log.arn, "format": text}
    operations = [{"op": "replace", "path": f"/accessLogSettings/{name}", "value": value} for name, value in settings.items()]
    client("apigateway").update_stage(restApiId=api.identifier, stageName="test", patchOperations=operations)
    return api


def test_a_request_is_one_line_with_the_formats_variables(api: RestApi, log: Log) -> None:
    """API Gateway documentation: "Variables for access logging for API Gateway"."""
    answer = httpx.post(f"{api.url}/a/b?c=d", content=b"body", headers={"user-agent": "tests"}, timeout=60, trust_env=False)
    (line,) = log.lines()
    assert line["requestId"] == line["extendedRequestId"] == answer.json() == answer.headers["x-amzn-requestid"]
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", line["requestTime"])
    assert int(line["requestTimeEpoch"]) > 0
    assert int(line["responseLatency"]) >= int(line["integration.latency"]) >= 0
    expected = {
        "apiId": api.identifier,
        "stage": "test",
        "accountId": "000000000000",
        "httpMethod": "POST",
        "path": "/test/a/b",
        "resourcePath": "/{proxy+}",
        "status": "201",
        "protocol": "HTTP/1.1",
        "responseLength": str(len(answer.content)),
        "integration.status": "200",
        "identity.sourceIp": "127.0.0.1",
        "identity.userAgent": "tests",
        "identity.user": "-",
        "error.message": "-",
        "error.responseType": "-",
    }
    assert {name: line[name] for name in expected} == expected


def test_a_rejected_request_is_logged_with_the_reason(api: RestApi, log: Log) -> None:
    answer = httpx.post(f"{api.url}/a", content=b"x" * (10 * 2**20 + 1), timeout=60, trust_env=False)
    (line,) = log.lines()
    found = (line["status"], line["error.responseType"], line["error.message"], line["integration.status"])
    assert found == ("413", "REQUEST_TOO_LARGE", "Request Too Long", "-")
    assert line["requestId"] == answer.headers["x-amzn-requestid"]


def test_a_failed_function_is_logged_with_the_status_that_the_caller_gets(api: RestApi, log: Log) -> None:
    httpx.get(f"{api.url}/raise", timeout=60, trust_env=False)
    (line,) = log.lines()
    assert line["status"] == "502"


def test_a_stage_without_its_log_group_still_responds(api: RestApi, log: Log, client: Clients) -> None:
    client("logs").delete_log_group(logGroupName=log.name)
    assert httpx.get(f"{api.url}/a", timeout=60, trust_env=False).status_code == 201


def test_a_variable_ends_where_its_name_ends() -> None:
    values = {"status": 200, "identity.user": "me"}
    assert fill("$context.status,$context.identity.user. $context.none $other", values) == "200,me. - $other"
