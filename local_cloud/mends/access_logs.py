"""Access logs of a REST API's stages, and one id for each request.

Restores the behaviour of the AWS documentation pages "Set up CloudWatch logging for REST APIs in API Gateway" and
"Variables for access logging for API Gateway". Each request, accepted or rejected, is one event in the log group of the
stage, in the stage's format with its ``$context`` variables replaced; a variable without a value is ``-``. The log, the
function's event and the response header ``x-amzn-requestid`` have the same request id. Without this mend the setting is
stored and returned, nothing is written, and each of the three has a different id.
"""

from __future__ import annotations

import contextvars
import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local_cloud.mends import vended_logs
from local_cloud.mends.patching import core, replace, require, service

_NAME = "ministack.services.apigateway_v1"
TARGETS = (
    f"{_NAME}._handle_execute_in_scope",
    f"{_NAME}._execute_in_scope",
    f"{_NAME}._build_lambda_event_v1",
    f"{_NAME}._call_lambda_raw",
    f"{_NAME}._stages_v1",
    f"{_NAME}._GatewayError",
)

_VARIABLE = re.compile(r"\$context\.([A-Za-z0-9_]+(?:\.[A-Za-z0-9_-]+)*)")


@dataclass
class _Observed:
    """What the replaced functions observe about one request."""

    request: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    error: tuple[str, str] | None = None
    integration_ms: int | None = None


_observed: contextvars.ContextVar[_Observed] = contextvars.ContextVar("observed")


def fill(template: str, values: dict[str, Any]) -> str:
    """Replace a format's ``$context`` variables by their values; one without a value becomes ``-``."""

    def value(match: re.Match[str]) -> str:
        found = values.get(match.group(1))
        return "-" if found is None or found == "" else str(found)

    return _VARIABLE.sub(value, template)


def _flat(context: dict[str, Any]) -> dict[str, Any]:
    """Return a function's request context by the names of the ``$context`` variables."""
    flat: dict[str, Any] = {}
    for name, value in context.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat


def _values(observed: _Observed, method: str, path: str, headers: dict[str, Any], began: float) -> dict[str, Any]:
    """Return the variables that do not depend on the response."""
    api, stage = observed.request.get("api_id"), observed.request.get("stage_name")
    host = str(headers.get("host", ""))
    values: dict[str, Any] = {
        "accountId": core("responses").get_account_id(),
        "apiId": api,
        "domainName": host,
        "domainPrefix": host.split(".", 1)[0],
        "extendedRequestId": observed.request.get("request_id"),
        "httpMethod": method,
        "identity.sourceIp": str(headers.get("x-forwarded-for", "127.0.0.1")).split(",")[0].strip(),
        "identity.userAgent": headers.get("user-agent"),
        "path": f"/{stage}{path}",
        "protocol": "HTTP/1.1",
        "requestId": observed.request.get("request_id"),
        "requestTime": datetime.fromtimestamp(began, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(began * 1000),
        "resourcePath": observed.request.get("resource_path"),
        "stage": stage,
        **_flat(observed.context),
    }
    if observed.error is not None:
        kind, message = observed.error
        values |= {"error.responseType": kind, "error.message": message, "error.messageString": json.dumps(message)}
    if observed.integration_ms is not None:
        for name, value in (("Latency", observed.integration_ms), ("Status", 200)):  # Lambda's status code, not the function's
            values |= {f"integration{name}": value, f"integration.{name.lower()}": value}
    return values


def _handle(original: Callable[..., Any]) -> Callable[..., Any]:
    gateway = service("apigateway_v1")

    async def handle(
        api: str, stage: str, method: str, path: str, headers: dict[str, Any], body: bytes, *rest: Any
    ) -> tuple[int, dict[str, Any], bytes]:
        observed = _Observed()
        token, began = _observed.set(observed), time.time()
        try:
            status, headers_out, text = await original(api, stage, method, path, headers, body, *rest)
        finally:
            _observed.reset(token)
        settings = (gateway._stages_v1.get(api, {}).get(stage) or {}).get("accessLogSettings") or {}
        if settings.get("format") and settings.get("destinationArn"):
            now = time.time()
            values = _values(observed, method, path, headers or {}, began) | {
                "status": status,
                "responseLength": len(text or b""),
                "responseLatency": int((now - began) * 1000),
            }
            stream = hashlib.sha256(f"{api}/{stage}".encode()).hexdigest()[:32]
            vended_logs.write(settings["destinationArn"], stream, int(now * 1000), fill(settings["format"], values))
        if "request_id" in observed.request:
            headers_out = {**headers_out, "x-amzn-requestid": observed.request["request_id"]}
        return status, headers_out, text

    return handle


def _execute(original: Callable[..., Any]) -> Callable[..., Any]:
    gateway = service("apigateway_v1")

    async def execute(request: dict[str, Any], *rest: Any) -> Any:
        observed = _observed.get()
        observed.request = request
        response = await original(request, *rest)
        if isinstance(response, gateway._GatewayError):
            observed.error = (response.response_type, response.message or "")
        return response

    return execute


def _build_event(original: Callable[..., Any]) -> Callable[..., Any]:
    def build(*arguments: Any, **named: Any) -> dict[str, Any]:
        event: dict[str, Any] = original(*arguments, **named)
        observed = _observed.get()
        identifier = observed.request["request_id"]
        event["requestContext"] |= {"requestId": identifier, "extendedRequestId": identifier}
        observed.context = event["requestContext"]
        return event

    return build


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*arguments: Any, **named: Any) -> Any:
        began = time.monotonic()
        response = await original(*arguments, **named)
        _observed.get().integration_ms = int((time.monotonic() - began) * 1000)
        return response

    return call


def apply() -> None:
    """Write the access logs that stages configure."""
    require(TARGETS)
    gateway = service("apigateway_v1")
    for name, wrap in (
        ("_handle_execute_in_scope", _handle),
        ("_execute_in_scope", _execute),
        ("_build_lambda_event_v1", _build_event),
        ("_call_lambda_raw", _call),
    ):
        replace(f"{_NAME}.{name}", wrap(getattr(gateway, name)))
