"""Signed HTTP to the deployed API: SigV4 by botocore, one kept-alive connection by httpx, errors in the API's own words."""

from __future__ import annotations

import json
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from cli.failures import Failure
from cli.platform import Platform

TIMEOUT_SECONDS = 35.0
RETRIES = 3


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
    """

    def __init__(self, platform: Platform, transport: httpx.BaseTransport | None = None) -> None:
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
        return _document(self._client.get(path))

    def post(self, path: str, body: dict[str, Any], request_id: str | None = None) -> dict[str, Any]:
        """POST JSON; ``request_id`` makes a repeated call the same call."""
        headers = {"Content-Type": "application/json"} | ({"X-Request-Id": request_id} if request_id else {})
        return _document(self._client.post(path, content=json.dumps(body), headers=headers))


def _document(response: httpx.Response) -> dict[str, Any]:
    """The answer's JSON.

    Raises
    ------
    Failure
        With the title, the detail and the named fields of a problem+json answer.
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
    next_step = "correct the named fields" if response.status_code < 500 else "`driftless logs inference` tells more"
    if response.status_code in (401, 403):
        next_step = "use credentials that may call execute-api:Invoke"
    if response.status_code == 404 or ("model" in said.lower() and response.status_code in (409, 503)):
        next_step = "train and promote a model first: `driftless train PROJECT`"
    raise Failure(where, cause, next_step)
