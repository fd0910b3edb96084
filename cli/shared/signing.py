"""Signed HTTP requests to the deployed API: SigV4 by botocore, one connection by httpx.

A request that API Gateway throttles, or that fails before it reaches the function, is retried with increasing
pauses and signed again. Its ``X-Request-Id`` stays the same, so the platform processes it once.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from cli.shared.failures import Failure
from cli.shared.platform import Platform

TIMEOUT_SECONDS = 35.0
RETRIES = 3
ATTEMPTS = 6
LONGEST_PAUSE_SECONDS = 8.0
TRANSIENT_STATUSES = (429, 502, 503, 504)
PROBLEM = "application/problem+json"
CONNECTION_LOST = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


class SigV4(httpx.Auth):
    """Signs each request for ``execute-api`` with the session's credentials."""

    requires_request_body = True

    def __init__(self, credentials: Any, region: str) -> None:
        self._signer = SigV4Auth(credentials, "execute-api", region)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        signed = {name: value for name, value in request.headers.items() if name in ("host", "content-type", "x-request-id")}
        aws = AWSRequest(request.method, str(request.url), headers=signed, data=request.content)
        self._signer.add_auth(aws)
        for name, value in aws.headers.items():
            request.headers[name] = value
        yield request


class Api:
    """The API of a stage.

    Use it as a context manager: the connection is kept for all calls inside.

    Parameters
    ----------
    transport : httpx.BaseTransport, optional
        In place of HTTP over the network.
    sleep : callable
        Waits that many seconds between attempts.
    """

    def __init__(
        self, platform: Platform, transport: httpx.BaseTransport | None = None, sleep: Callable[[float], None] | None = None
    ) -> None:
        self._sleep = sleep or time.sleep
        auth = SigV4(platform.session.get_credentials(), platform.session.region_name)
        chosen = transport or httpx.HTTPTransport(retries=RETRIES)
        self._client = httpx.Client(
            base_url=platform.api_url, auth=auth, timeout=TIMEOUT_SECONDS, transport=chosen, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str) -> dict[str, Any]:
        """GET a JSON document."""
        return self._send("GET", path)

    def post(self, path: str, body: dict[str, Any], request_id: str | None = None) -> dict[str, Any]:
        """POST JSON; ``request_id``, a UUID, makes a repeated request idempotent."""
        headers = {"Content-Type": "application/json", "X-Request-Id": request_id or str(uuid4())}
        return self._send("POST", path, content=json.dumps(body), headers=headers)

    def _send(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        for attempt in range(1, ATTEMPTS):
            try:
                response = self._client.request(method, path, **more)
            except CONNECTION_LOST:
                pass
            else:
                if not is_transient(response):
                    return _document(response)
            self._sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.5 * 2**attempt)))  # noqa: S311 - spreads load
        return _document(self._client.request(method, path, **more))


def is_transient(response: httpx.Response) -> bool:
    """Whether a response is transient: throttled, or an error of API Gateway itself, not of the function.

    Both send problem+json; only the function's contains a status.
    """
    if response.status_code not in TRANSIENT_STATUSES:
        return False
    if response.status_code == 429 or not response.headers.get("content-type", "").startswith(PROBLEM):
        return True
    try:
        return "status" not in response.json()
    except (ValueError, TypeError):
        return True


def _document(response: httpx.Response) -> dict[str, Any]:
    """The response's JSON document.

    Raises
    ------
    Failure
        With the title, the detail and the fields of a problem+json response.
    """
    if response.is_success:
        return dict(response.json())
    where = f"{response.request.method} {response.request.url.path}"
    try:
        problem = dict(response.json())
    except (json.JSONDecodeError, ValueError, TypeError):
        problem = {"detail": response.text[:300]}
    fields = "; ".join(f"{error.get('field')}: {error.get('reason')}" for error in problem.get("errors", []))
    said = problem.get("detail") or problem.get("title") or problem.get("message") or "no reason given"
    cause = f"{response.status_code} {said}" + (f" ({fields})" if fields else "")
    next_step = "correct the named fields" if response.status_code < 500 else "read `driftless logs inference`"
    if response.status_code in (401, 403):
        next_step = "use credentials that may call execute-api:Invoke"
    if response.status_code == 404 or ("model" in said.lower() and response.status_code in (409, 503)):
        next_step = "train and promote a model first: `driftless train PROJECT`"
    raise Failure(where, cause, next_step)
