"""HTTP for the functions behind the REST API, without a web framework.

API Gateway's event becomes a :class:`Request`, the application's :class:`Response` becomes what API Gateway expects. Each
request has an id, and each response names it in ``X-Request-Id``. A client that sends a UUID in this header chooses the id.

An error that carries a problem is returned as problem+json. Any other error is raised: Lambda counts only what is raised, and
alarms and rollouts depend on that count. API Gateway then sends the client a problem+json of its own.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from driftless.core.problem import MEDIA_TYPE, FieldError, InvalidRequest, Problem, Unavailable

JSON = "application/json"


@dataclass(frozen=True)
class Request:
    """One HTTP request; ``path`` is decoded, and names in ``headers`` are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    request_id: str


@dataclass(frozen=True)
class Response:
    """One HTTP response; ``body`` is UTF-8, ``headers`` are those besides content type and request id."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


Application = Callable[[Request], Response]
RestApiHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as a response, with these headers besides its own."""
    return Response(problem.status, problem.body(), MEDIA_TYPE, {**(headers or {}), **problem.headers()})


def rest_api_handler(application: Application, new_request_id: Callable[[], str]) -> RestApiHandler:
    """The Lambda handler of REST API (v1) events over an application.

    Parameters
    ----------
    application : callable
        Raises ``InvalidRequest`` or ``Unavailable`` for a problem; whatever else it raises is a failure of the function.
    new_request_id : callable
        A unique id for a request whose client chose none.
    """

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        headers = _headers(event)
        request_id = _chosen_id(headers) or new_request_id()
        try:
            path = unquote(event.get("path") or "/")
            request = Request(event.get("httpMethod", ""), path, headers, _body(event), request_id)
            response = application(request)
        except (InvalidRequest, Unavailable) as error:
            response = problem_response(error.problem)
        return {
            "statusCode": response.status,
            "headers": {"Content-Type": response.media_type, **response.headers, "X-Request-Id": request_id},
            "body": response.body.decode(),
            "isBase64Encoded": False,
        }

    return handler


def _headers(event: dict[str, Any]) -> dict[str, str]:
    """Headers by lower-case name; the values of one that was sent several times are joined, as RFC 9110 allows."""
    found = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    for name, values in (event.get("multiValueHeaders") or {}).items():
        found[name.lower()] = ", ".join(values)
    return found


def _chosen_id(headers: Mapping[str, str]) -> str | None:
    """The request id that the client chose, None when it is missing or is not a UUID."""
    try:
        return str(UUID(headers.get("x-request-id", "")))
    except ValueError:
        return None


def _body(event: dict[str, Any]) -> bytes:
    body = event.get("body") or ""
    try:
        return base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        reason = FieldError("", f"the body cannot be decoded: {error}")
        raise InvalidRequest(Problem(400, "the body is not valid JSON", (reason,))) from error
