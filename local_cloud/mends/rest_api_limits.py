"""API Gateway's payload limits, and its response when a function fails.

Restores the behaviour of these pages of the AWS documentation:

- "Quotas for configuring and running a REST API in API Gateway" and "Gateway response types for API Gateway": a payload
  larger than 10 MB gets 413, ``REQUEST_TOO_LARGE``.
- "Lambda quotas" and "Invoke": an event larger than 6 MB gets 413, ``RequestTooLargeException``, and so does the caller
  of the API. A body below 10 MB can make such an event.
- "Handle Lambda errors in API Gateway": a failed function, for example with a response above 6 MB
  (``Function.ResponseSizeTooLarge``), is a 502 with ``Internal server error``; the error itself is only in its logs.

The API's customised gateway responses apply. Without this mend the emulator accepts any size and returns the function's
error with its stack trace.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from local_cloud.mends.patching import replace, require, service
from local_cloud.runner.execute import REQUEST_LIMIT

_NAME = "ministack.services.apigateway_v1"
TARGETS = (
    f"{_NAME}._execute_in_scope",
    f"{_NAME}._call_lambda_raw",
    f"{_NAME}._lambda_proxy_response",
    f"{_NAME}._gateway_error_response",
    f"{_NAME}._gw_error",
    f"{_NAME}._GatewayError",
    f"{_NAME}._stages_v1",
)

BODY_LIMIT = 10 * 1024 * 1024  # bytes
_WORST_ESCAPE = 6  # bytes of JSON that one byte of a body can become


class EventTooLarge(Exception):
    """The event for a request is larger than Lambda accepts."""


class FunctionFailed(Exception):
    """The function returned an error."""


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    async def call(function: Any, event: dict[str, Any], **scope: Any) -> Any:
        body = event.get("body") or ""
        if len(body) * _WORST_ESCAPE > REQUEST_LIMIT // 2 and len(json.dumps(event, ensure_ascii=False).encode()) > REQUEST_LIMIT:
            raise EventTooLarge
        return await original(function, event, **scope)

    return call


def _response(original: Callable[..., Any]) -> Callable[..., Any]:
    def convert(result: dict[str, Any]) -> Any:
        response, error = original(result)
        if error:
            raise FunctionFailed
        return response, error

    return convert


def _execute(original: Callable[..., Any]) -> Callable[..., Any]:
    gateway = service("apigateway_v1")

    async def execute(
        request: dict[str, Any], api: str, stage: str, method: str, path: str, headers: Any, body: bytes, *rest: Any
    ) -> Any:
        found = gateway._stages_v1.get(api, {}).get(stage)
        if found is not None and len(body or b"") > BODY_LIMIT:
            request["stage"] = found
            return gateway._gw_error("REQUEST_TOO_LARGE", "Request Too Long")
        try:
            return await original(request, api, stage, method, path, headers, body, *rest)
        except EventTooLarge:
            return gateway._gw_error("REQUEST_TOO_LARGE", "Request Too Long")
        except FunctionFailed:
            error = gateway._GatewayError("DEFAULT_5XX", "Internal server error", "InternalServerErrorException")
            status, headers, text = gateway._gateway_error_response(error, request)
            return 502 if status == 500 else status, headers, text

    return execute


def apply() -> None:
    """Apply the limits of a REST API and of its functions."""
    require(TARGETS)
    gateway = service("apigateway_v1")
    replace(f"{_NAME}._call_lambda_raw", _call(gateway._call_lambda_raw))
    replace(f"{_NAME}._lambda_proxy_response", _response(gateway._lambda_proxy_response))
    replace(f"{_NAME}._execute_in_scope", _execute(gateway._execute_in_scope))
