"""REST API events to requests, responses to what API Gateway expects, and which errors are raised."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from driftless.core.problem import InvalidRequest, Problem, Unavailable
from driftless.serving.http import ASGIApp, Request, Response, asgi, rest_api_handler

CHOSEN = "6f0c9a52-3b1e-4a55-9d0c-2f1b6e1f7a11"


Application = Callable[[Request], Response]


def event_of(**event: Any) -> dict[str, Any]:
    context = {"requestContext": {"stage": "local", "identity": {}}, "resource": "/{proxy+}", "multiValueHeaders": None}
    return {"httpMethod": "POST", "path": "/a", "headers": None, "body": None, **context, **event}


def call_asgi(app: ASGIApp, **event: Any) -> dict[str, Any]:
    """The response of API Gateway to a client, with header names in lower case."""
    response = rest_api_handler(app, lambda: "request-1")(event_of(**event), None)
    several = {name: ", ".join(values) for name, values in response.pop("multiValueHeaders", {}).items()}
    headers = {name.lower(): value for name, value in {**several, **response["headers"]}.items()}
    return {**response, "headers": headers}


def call(application: Application, **event: Any) -> dict[str, Any]:
    return call_asgi(asgi(application), **event)


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
        "headers": {"content-type": "text/plain", "allow": "POST", "x-request-id": "request-1"},
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
    assert (response["statusCode"], response["headers"]["content-type"]) == (400, "application/problem+json")
    assert json.loads(response["body"])["errors"][0]["reason"].startswith("the body cannot be decoded: ")


def test_paths_are_decoded() -> None:
    request = seen(path="/a%20b/labels")
    assert (request.method, request.path) == ("POST", "/a b/labels")


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
    assert problem["headers"]["x-request-id"] == request_id
    undecodable = call(lambda request: Response(200, b""), headers=sent, body="%%", isBase64Encoded=True)
    assert undecodable["statusCode"] == 400
    assert undecodable["headers"]["x-request-id"] == request_id


@pytest.mark.parametrize("body", ["", "%%"])
@pytest.mark.parametrize(("sent", "request_id"), [([CHOSEN], CHOSEN), ([CHOSEN, CHOSEN], "request-1")])
def test_a_request_id_is_read_from_headers_of_several_values(body: str, sent: list[str], request_id: str) -> None:
    headers = {"headers": {"x-request-id": CHOSEN}, "multiValueHeaders": {"X-REQUEST-ID": sent}}
    response = call(lambda request: Response(200, b""), **headers, body=body, isBase64Encoded=True)
    assert response["headers"]["x-request-id"] == request_id


def test_errors_that_carry_a_problem_are_returned_as_such() -> None:
    refused = call(raising(InvalidRequest(Problem(404, "no such project: a"))))
    assert (refused["statusCode"], json.loads(refused["body"])["detail"]) == (404, "no such project: a")
    away = call(raising(Unavailable("not now")))
    assert (away["statusCode"], away["headers"]["retry-after"]) == (503, "5")
    assert away["headers"]["content-type"] == "application/problem+json"


def test_every_other_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        call(raising(ZeroDivisionError()))


def test_an_asgi_application_gets_an_id_and_its_errors_are_raised() -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        headers = [(b"content-type", b"text/plain"), (b"x-id", scope["state"]["request_id"].encode())]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": message["body"][:2], "more_body": True})
        await send({"type": "http.response.body", "body": message["body"][2:]})

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    response = call_asgi(echo, body="body")
    assert (response["statusCode"], response["body"], response["headers"]["x-id"]) == (201, "body", "request-1")
    with pytest.raises(ZeroDivisionError):
        call_asgi(failing)


def test_a_failure_is_raised_once() -> None:
    def once(request: Request) -> Response:
        if request.body:
            raise ZeroDivisionError
        return Response(200, b"{}")

    handler = rest_api_handler(asgi(once), lambda: "request-1")
    with pytest.raises(ZeroDivisionError):
        handler(event_of(body="x"), None)
    assert handler(event_of(), None)["statusCode"] == 200


def test_labels_need_no_web_framework() -> None:
    code = "import sys, driftless.serving.labels; print(sorted({'fastapi', 'starlette'} & set(sys.modules)))"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == "[]"
