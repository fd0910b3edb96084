"""IAM condition keys that policies use, for a cloud that enforces IAM.

Restores the AWS documentation pages "AWS global condition context keys" (``aws:PrincipalArn`` of a role's session is the
ARN of the role, so that a bucket policy can name the one role that may write) and "Using condition keys to limit access
to CloudWatch namespaces" (``cloudwatch:namespace`` of PutMetricData). Without this mend the first is the session's ARN,
which no policy names. The second does not exist, so a principal that may publish to one namespace could publish nothing.

``aws:SecureTransport`` is true, because loopback replaces TLS here; a bucket that requires TLS would reject all requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from local_cloud.mends.patching import core, replace, require

TARGETS = (
    "ministack.core.iam_evaluator._resolve_condition_key",
    "ministack.core.iam_actions.request_tag_context",
    "ministack.app.pin_request_origin",
)

_SESSION = re.compile(r"^arn:(?P<partition>[^:]+):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/")
Context = dict[str, Any]


def role_arn(principal: str) -> str:
    """Return the ARN of a session's role, or the principal itself."""
    session = _SESSION.match(principal)
    return f"arn:{session['partition']}:iam::{session['account']}:role/{session['role']}" if session else principal


def namespace(body: bytes) -> str | None:
    """Return the namespace of a PutMetricData request, or None when it has none."""
    try:
        text = body.decode()
        named = json.loads(text).get("Namespace") if text.startswith("{") else parse_qs(text).get("Namespace", [None])[0]
    except (ValueError, AttributeError):
        return None
    return named if isinstance(named, str) else None


def _resolve(original: Callable[..., Any]) -> Callable[..., Any]:
    def resolve(key: str, context: Any) -> Any:
        value = original(key, context)
        return role_arn(value) if key.lower() == "aws:principalarn" and isinstance(value, str) else value

    return resolve


def _request_context(original: Callable[..., Context]) -> Callable[..., Context]:
    def context(service: str, action: str, body: bytes, parameters: Mapping[str, Any]) -> Context:
        found = original(service, action, body, parameters)
        named = namespace(body) if action == "cloudwatch:PutMetricData" else None
        return found if named is None else {**found, "cloudwatch:namespace": named}

    return context


def apply() -> None:
    """Provide roles, namespaces and TLS to policies as AWS does."""
    require(TARGETS)
    evaluator, actions = core("iam_evaluator"), core("iam_actions")
    pin = evaluator.pin_request_origin
    replace(TARGETS[0], _resolve(evaluator._resolve_condition_key))
    replace(TARGETS[1], _request_context(actions.request_tag_context))
    replace(TARGETS[2], lambda address, secure: pin(address, True))
