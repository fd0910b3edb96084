"""Payload limits of a REST API, and its response when a function fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local_cloud import lifecycle
from tests.local_cloud.mends.conftest import Recorder, RestApi

Clients = Callable[[str], Any]
MEGABYTE = 1 << 20
FUNCTION = """
import json
def handler(event, context):
    path = event["path"]
    if path == "/raise": raise ValueError("the secret of the stack")
    if path == "/large": return {"statusCode": 200, "body": "x" * (7 << 20)}
    return {"statusCode": 200, "body": str(len(event["body"] or ""))}
"""


@pytest.fixture
def api(client: Clients, cloud: lifecycle.Cloud, recorder: Callable[..., Recorder]) -> RestApi:
    return RestApi(client("apigateway"), cloud.endpoint, recorder(source=FUNCTION).arn)


def post(api: RestApi, path: str, size: int = 0, content: bytes | None = None) -> httpx.Response:
    return httpx.post(f"{api.url}{path}", content=content or b"x" * size, timeout=30, trust_env=False)


def test_a_request_of_six_million_characters_reaches_the_function(api: RestApi) -> None:
    answer = post(api, "/count", 6_000_000)
    assert (answer.status_code, answer.text) == (200, "6000000")


@pytest.mark.parametrize("size", [10 * MEGABYTE + 1, 10 * MEGABYTE, 6 * MEGABYTE])
def test_a_request_too_large_for_the_gateway_or_lambda_gets_413(api: RestApi, size: int) -> None:
    """API Gateway documentation: "Quotas for configuring and running a REST API", "Gateway response types": REQUEST_TOO_LARGE."""
    answer = post(api, "/count", size)
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Too Long"})


def test_the_limit_applies_to_the_event_not_the_body(api: RestApi) -> None:
    """Lambda documentation: "Lambda quotas", invocation payload: a body that JSON makes larger is too large sooner."""
    answer = post(api, "/count", content=b"\x01" * (3 * MEGABYTE // 2))
    assert answer.status_code == 413


def test_a_response_above_six_megabytes_is_a_502_and_an_error_of_the_function(api: RestApi, client: Clients) -> None:
    """API Gateway documentation: "Handle Lambda errors in API Gateway"."""
    answer = post(api, "/large")
    assert (answer.status_code, answer.json()) == (502, {"message": "Internal server error"})
    assert answer.headers["x-amzn-errortype"] == "InternalServerErrorException"
    direct = client("lambda").invoke(FunctionName=api.function, Payload=json.dumps({"path": "/large"}))
    assert direct["FunctionError"] == "Unhandled"
    assert json.loads(direct["Payload"].read())["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_function_that_raises_is_a_502_without_details(api: RestApi) -> None:
    answer = post(api, "/raise")
    assert (answer.status_code, answer.json()) == (502, {"message": "Internal server error"})


def test_the_apis_own_gateway_responses_apply(api: RestApi, client: Clients) -> None:
    """API Gateway documentation: "Gateway responses in API Gateway", DEFAULT_4XX and DEFAULT_5XX."""
    template = {"application/json": '{"title": $context.error.messageString}'}
    for kind in ("DEFAULT_4XX", "DEFAULT_5XX"):
        client("apigateway").put_gateway_response(restApiId=api.identifier, responseType=kind, responseTemplates=template)
    api.deploy()
    refused, failed = post(api, "/count", 10 * MEGABYTE + 1), post(api, "/raise")
    assert (refused.status_code, refused.json()) == (413, {"title": "Request Too Long"})
    assert (failed.status_code, failed.json()) == (502, {"title": "Internal server error"})
