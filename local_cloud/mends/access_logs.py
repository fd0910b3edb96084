"""Access logs of a REST API's stages, and one request id for everything that speaks of a request.

Restores the behaviour of the AWS documentation pages "Set up CloudWatch logging for REST APIs in API Gateway" and
"Variables for access logging for API Gateway": each request, answered or refused, is one event in the log group that the
stage names, in the stage's format with its ``$context`` variables filled in; a variable that has no value is ``-``. The
id is the one that the function finds in its event and the caller in ``x-amzn-requestid``. Without this mend the setting
is stored and shown, nothing is written, and each of the three sees an id of its own.
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
class _Seen:
    """What is learnt of a request on its way."""

    request: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    error: tuple[str, str] | None = None
    integration_ms: int | None = None


_seen: contextvars.ContextVar[_Seen] = contextvars.ContextVar("seen")


def fill(template: str, values: dict[str, Any]) -> str:
    """Put values in the place of a format's ``$context`` variables; one without a value becomes ``-``."""

    def value(match: re.Match[str]) -> str:
        found = values.get(match.group(1))
        return "-" if found is None or found == "" else str(found)

    return _VARIABLE.sub(value, template)


def _flat(context: dict[str, Any]) -> dict[str, Any]:
    """A function's request context by the names of the variables: the two speak of the same things."""
    flat: dict[str, Any] = {}
    for name, value in context.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat


def _values(seen: _Seen, method: str, path: str, headers: dict[str, Any], began: float) -> dict[str, Any]:
    """The variables that do not depend on the answer."""
    api, stage = seen.request.get("api_id"), seen.request.get("stage_name")
    host = str(headers.get("host", ""))
    values: dict[str, Any] = {
        "accountId": core("responses").get_account_id(),
        "apiId": api,
        "domainName": host,
        "domainPrefix": host.split(".", 1)[0],
        "extendedRequestId": seen.request.get("request_id"),
        "httpMethod": method,
        "identity.sourceIp": str(headers.get("x-forwarded-for", "127.0.0.1")).split(",")[0].strip(),
        "identity.userAgent": headers.get("user-agent"),
        "path": f"/{stage}{path}",
        "protocol": "HTTP/1.1",
        "requestId": seen.request.get("request_id"),
        "requestTime": datetime.fromtimestamp(began, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(began * 1000),
        "resourcePath": seen.request.get("resource_path"),
        "stage": stage,
        **_flat(seen.context),
    }
    if seen.error is not None:
        kind, message = seen.error
        values |= {"error.responseType": kind, "error.message": message, "error.messageString": json.dumps(message)}
    if seen.integration_ms is not None:
        for name, value in (("Latency", seen.integration_ms), ("Status", 200)):  # Lambda's own status, not the function's
            values |= {f"integration{name}": value, f"integration.{name.lower()}": value}
    return values


def _handle(original: Callable[..., Any]) -> Callable[..., Any]:
    gateway = service("apigateway_v1")

    async def handle(
        api: str, stage: str, method: str, path: str, headers: dict[str, Any], body: bytes, *rest: Any
    ) -> tuple[int, dict[str, Any], bytes]:
        seen = _Seen()
        token, began = _seen.set(seen), time.time()
        try:
            status, answered, text = await original(api, stage, method, path, headers, body, *rest)
        finally:
            _seen.reset(token)
        settings = (gateway._stages_v1.get(api, {}).get(stage) or {}).get("accessLogSettings") or {}
        if settings.get("format") and settings.get("destinationArn"):
            now = time.time()
            values = _values(seen, method, path, headers or {}, began) | {
                "status": status,
                "responseLength": len(text or b""),
                "responseLatency": int((now - began) * 1000),
            }
            stream = hashlib.sha256(f"{api}/{stage}".encode()).hexdigest()[:32]
            vended_logs.write(settings["destinationArn"], stream, int(now * 1000), fill(settings["format"], values))
        if "request_id" in seen.request:
            answered = {**answered, "x-amzn-requestid": seen.request["request_id"]}
        return status, answered, text

    return handle


def _execute(original: Callable[..., Any]) -> Callable[..., Any]:
    gateway = service("apigateway_v1")

    async def execute(request: dict[str, Any], *rest: Any) -> Any:
        seen = _seen.get()
        seen.request = request
        answer = await original(request, *rest)
        if isinstance(answer, gateway._GatewayError):
            seen.error = (answer.response_type, answer.message or "")
        return answer

    return execute


def _build_event(original: Callable[..., Any]) -> Callable[..., Any]:
    def build(*arguments: Any, **named: Any) -> dict[str, Any]:
        event: dict[str, Any] = original(*arguments, **named)
        seen = _seen.get()
        identifier = seen.request["request_id"]
        event["requestContext"] |= {"requestId": identifier, "extendedRequestId": identifier}
        seen.context = event["requestContext"]
        return event

    return build


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*arguments: Any, **named: Any) -> Any:
        began = time.monotonic()
        answer = await original(*arguments, **named)
        _seen.get().integration_ms = int((time.monotonic() - began) * 1000)
        return answer

    return call


def apply() -> None:
    """Write what stages ask for."""
    require(TARGETS)
    gateway = service("apigateway_v1")
    for name, wrap in (
        ("_handle_execute_in_scope", _handle),
        ("_execute_in_scope", _execute),
        ("_build_lambda_event_v1", _build_event),
        ("_call_lambda_raw", _call),
    ):
        replace(f"{_NAME}.{name}", wrap(getattr(gateway, name)))
