"""HTTP for the functions behind the REST API: one ASGI application each, translated by Mangum.

Each request has an id, and each response names it in ``X-Request-Id``. A client that sends a UUID
in this header chooses the id. Predictions sent again under the same id are kept once; labels are
stored again. Refusals are problem+json. A failure of the function itself is raised: Lambda counts
only what is raised, and alarms and rollouts depend on that count. API Gateway then sends the
client a problem+json of its own.

An application that needs no routing is a plain function of :class:`Request`; :func:`asgi` makes it an ASGI application without a
web framework.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from mangum import Mangum

from driftless.core.problem import MEDIA_TYPE, FieldError, InvalidRequest, Problem, Unavailable

JSON = "application/json"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
RestApiHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


@dataclass(frozen=True)
class Request:
    """One HTTP request with its decoded path and whole body."""

    method: str
    path: str
    body: bytes
    request_id: str


@dataclass(frozen=True)
class Response:
    """One HTTP response; ``body`` is UTF-8, ``headers`` are those besides content type and request id."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as a response, with these headers besides its own."""
    return Response(problem.status, problem.body(), MEDIA_TYPE, {**(headers or {}), **problem.headers()})


def asgi(application: Callable[[Request], Response]) -> ASGIApp:
    """A plain function as an ASGI application.

    Parameters
    ----------
    application : callable
        Raises ``InvalidRequest`` or ``Unavailable`` for a problem; whatever else it raises is a failure of the function.
    """

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        request = Request(scope["method"], scope["path"], bytes(body), scope["state"]["request_id"])
        try:
            response = application(request)
        except (InvalidRequest, Unavailable) as error:
            response = problem_response(error.problem)
        headers = {"content-type": response.media_type, **response.headers}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": raw})
        await send({"type": "http.response.body", "body": response.body})

    return respond


def rest_api_handler(app: ASGIApp, new_request_id: Callable[[], str]) -> RestApiHandler:
    """The Lambda handler of REST API (v1) events for an ASGI application.

    Parameters
    ----------
    new_request_id : callable
        A unique id for a request whose client chose none.
    """
    failure = _Failure()
    identified = RequestIds(app, new_request_id)

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        with failure:
            await identified(scope, receive, send)

    # Other media types would leave as base64, which a REST API without binary media types passes on unchanged.
    translate: RestApiHandler = Mangum(watched, lifespan="off", text_mime_types=["text/", JSON, MEDIA_TYPE])

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            if event.get("isBase64Encoded"):
                # Mangum leaves out what is no base64, and would pass on what remains.
                base64.b64decode(event.get("body") or "", validate=True)
            response = translate(event, context)
        except (binascii.Error, UnicodeEncodeError) as error:
            return _undecodable(error, _chosen_id(_event_headers(event)) or new_request_id())
        failure.raise_again()
        return response

    return handler


class RequestIds:
    """ASGI middleware: gives each request an id, and each response a header that names it."""

    def __init__(self, app: ASGIApp, new_request_id: Callable[[], str]) -> None:
        self._app, self._new_request_id = app, new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _chosen_id(_scope_headers(scope)) or self._new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode("ascii"))]
            await send(message)

        await self._app(scope, receive, named)


def _chosen_id(headers: Mapping[str, str]) -> str | None:
    """The request id that the client chose, None when it is missing or is not a UUID.

    Parameters
    ----------
    headers : mapping
        By names in lower case.
    """
    try:
        return str(UUID(headers.get("x-request-id", "")))
    except ValueError:
        return None


def _scope_headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _event_headers(event: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a REST API event as Mangum reads them."""
    several = {name: ", ".join(values) for name, values in (event.get("multiValueHeaders") or {}).items()}
    return {name.lower(): value for name, value in {**(event.get("headers") or {}), **several}.items()}


class _Failure:
    """Remembers the error that leaves its block: Mangum turns it into a response of status 500."""

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def __enter__(self) -> None:
        self._error = None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._error = error

    def raise_again(self) -> None:
        """Raise the error that left the last block, if any did."""
        error, self._error = self._error, None
        if error is not None:
            raise error


def _undecodable(error: Exception, request_id: str) -> dict[str, Any]:
    """The response to an event whose body is no base64, or no text."""
    reason = FieldError("", f"the body cannot be decoded: {error}")
    response = problem_response(Problem(400, "the body is not valid JSON", (reason,)))
    headers = {"content-type": response.media_type, "x-request-id": request_id}
    return {"statusCode": response.status, "headers": headers, "body": response.body.decode("ascii"), "isBase64Encoded": False}
