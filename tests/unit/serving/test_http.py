"""REST API events to requests, responses to what API Gateway expects, and which errors are raised."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

import pytest

from driftless.core.problem import InvalidRequest, Problem, Unavailable
from driftless.serving.http import Application, Request, Response, rest_api_handler
from driftless.serving.inference.app import application

CHOSEN = "6f0c9a52-3b1e-4a55-9d0c-2f1b6e1f7a11"


def call(application: Application, **event: Any) -> dict[str, Any]:
    return rest_api_handler(application, lambda: "request-1")({"httpMethod": "POST", "path": "/a", **event}, None)


def seen(**event: Any) -> Request:
    """The request that an application receives."""
    found: list[Request] = []

    def keep(request: Request) -> Response:
        found.append(request)
        return Response(200, b"{}")

    call(keep, **event)
    return found[0]


def raising(error: Exception) -> Application:
    def fail(request: Request) -> Response:
        raise error

    return fail


def test_a_response_becomes_what_api_gateway_expects() -> None:
    response = call(lambda request: Response(202, '{"é": 1}'.encode(), "text/plain", {"Allow": "POST"}))
    assert response == {
        "statusCode": 202,
        "headers": {"Content-Type": "text/plain", "Allow": "POST", "X-Request-Id": "request-1"},
        "body": '{"é": 1}',
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ({}, b""),
        ({"body": None}, b""),
        ({"body": "é"}, "é".encode()),
        ({"body": base64.b64encode(b"\xff").decode(), "isBase64Encoded": True}, b"\xff"),
    ],
)
def test_the_body_is_bytes(event: dict[str, Any], body: bytes) -> None:
    assert seen(**event).body == body


@pytest.mark.parametrize("event", [{"body": "%%", "isBase64Encoded": True}, {"body": "\ud800"}])
def test_a_body_that_cannot_be_decoded_is_a_problem(event: dict[str, Any]) -> None:
    response = call(lambda request: Response(200, b""), **event)
    assert (response["statusCode"], response["headers"]["Content-Type"]) == (400, "application/problem+json")
    assert json.loads(response["body"])["errors"][0]["reason"].startswith("the body cannot be decoded: ")


def test_paths_are_decoded_and_header_names_are_in_lower_case() -> None:
    request = seen(path="/a%20b/labels", headers={"Accept": "a"}, multiValueHeaders={"Accept": ["a", "b"]})
    assert (request.method, request.path, request.headers["accept"]) == ("POST", "/a b/labels", "a, b")
    assert seen(headers=None, multiValueHeaders=None, path=None).path == "/"


@pytest.mark.parametrize(
    ("sent", "request_id"),
    [
        ({"X-Request-Id": CHOSEN}, CHOSEN),
        ({"x-request-id": CHOSEN.upper()}, CHOSEN),
        ({"X-Request-Id": "../../labels"}, "request-1"),
        ({"X-Request-Id": f"{CHOSEN}, {CHOSEN}"}, "request-1"),
        (None, "request-1"),
    ],
)
def test_a_client_chooses_the_request_id_by_a_uuid_only(sent: dict[str, str] | None, request_id: str) -> None:
    assert seen(headers=sent).request_id == request_id
    problem = call(raising(InvalidRequest(Problem(404, "no"))), headers=sent)
    assert problem["headers"]["X-Request-Id"] == request_id


def test_errors_that_carry_a_problem_are_returned_as_such() -> None:
    refused = call(raising(InvalidRequest(Problem(404, "no such project: a"))))
    assert (refused["statusCode"], json.loads(refused["body"])["detail"]) == (404, "no such project: a")
    away = call(raising(Unavailable("not now")))
    assert (away["statusCode"], away["headers"]["Retry-After"]) == (503, "5")
    assert away["headers"]["Content-Type"] == "application/problem+json"


def test_every_other_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        call(raising(ZeroDivisionError()))


def test_an_asgi_application_is_a_function_of_requests_and_its_errors_are_raised() -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        headers = [(b"content-type", b"text/plain"), (b"x-path", scope["path"].encode())]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": message["body"][:2], "more_body": True})
        await send({"type": "http.response.body", "body": message["body"][2:]})

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    request = Request("POST", "/a", {}, b"body", "request-1")
    assert application(echo)(request) == Response(201, b"body", "text/plain", {"x-path": "/a"})
    with pytest.raises(ZeroDivisionError):
        application(failing)(request)


def test_a_route_that_waits_is_an_error() -> None:
    async def resting(scope: Any, receive: Any, send: Any) -> None:
        await _Rest()

    with pytest.raises(RuntimeError, match="must not wait"):
        application(resting)(Request("GET", "/", {}, b"", "request-1"))


class _Rest:
    def __await__(self) -> Any:
        yield


def test_labels_need_no_web_framework() -> None:
    code = "import sys, driftless.serving.labels; print(sorted({'fastapi', 'starlette', 'asyncio'} & set(sys.modules)))"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == "[]"
