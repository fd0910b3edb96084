"""Lambda aliases: routing weights, reserved concurrency and the invoked ARN.

Restores the behaviour of the AWS documentation pages "Implement Lambda canary deployments using a weighted alias" (an
alias with routing weights distributes invocations over two versions), "Configuring reserved concurrency" (the limit of
a function applies to its versions and aliases) and "Using the Lambda context object" (the invoked ARN includes the alias).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from local_cloud.mends.patching import replace, require, service

_NAME = "ministack.services.lambda_svc"
TARGETS = (
    f"{_NAME}._get_func_record_for_ref",
    f"{_NAME}._invoke",
    f"{_NAME}._reserved_concurrency",
    f"{_NAME}._functions",
)


def chosen_version(alias: dict[str, Any]) -> str:
    """Return the version that one invocation of an alias runs.

    Parameters
    ----------
    alias : dict
        The alias as GetAlias returns it. Its additional weights are fractions of 1; its main version has the rest.
    """
    draw = random.random()  # noqa: S311 - a share of traffic, not a secret
    for version, weight in ((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}).items():
        draw -= float(weight)
        if draw < 0:
            return str(version)
    return str(alias.get("FunctionVersion", "$LATEST"))


def _resolve(original: Callable[..., Any]) -> Callable[..., Any]:
    """Resolve an alias to one of its versions, with the alias in the invoked ARN."""

    def resolve(reference: str) -> Any:
        record, config, name = original(reference)
        if record is None or config is None:
            return record, config, name
        functions = service("lambda_svc")
        _, qualifier = functions._resolve_name_and_qualifier(reference)
        base = functions._functions.get(name) or {}
        alias = (base.get("aliases") or {}).get(qualifier)
        if alias is None:
            return record, config, name
        version = (base.get("versions") or {}).get(chosen_version(alias))
        if version is not None:
            record, config = version, version["config"]
        return record, {**config, "FunctionArn": alias["AliasArn"]}, name

    return resolve


def _invoke(original: Callable[..., Any]) -> Callable[..., Any]:
    """Send an Invoke of a weighted alias to the version that the weights choose."""

    async def invoke(name: str, event: Any, headers: dict[str, str], *rest: Any, **named: Any) -> Any:
        functions = service("lambda_svc")
        path_qualifier = rest[0] if rest else named.get("path_qualifier")
        query = (rest[1] if len(rest) > 1 else named.get("query_params")) or {}
        qualifier = path_qualifier or functions._qp_first(query, "Qualifier")
        alias = ((functions._functions.get(name) or {}).get("aliases") or {}).get(qualifier)
        if alias is None or not (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
            return await original(name, event, headers, *rest, **named)
        return await original(name, event, headers, chosen_version(alias), query)

    return invoke


def _reserved_concurrency(func: dict[str, Any], config: dict[str, Any]) -> int | None:
    base = service("lambda_svc")._functions.get(config.get("FunctionName", "")) or func
    reserved = base.get("concurrency")
    if isinstance(reserved, dict):
        reserved = reserved.get("ReservedConcurrentExecutions")
    return None if reserved is None else int(reserved)


def apply() -> None:
    """Apply routing weights, reserved concurrency and invoked ARNs of aliases."""
    require(TARGETS)
    functions = service("lambda_svc")
    replace(f"{_NAME}._get_func_record_for_ref", _resolve(functions._get_func_record_for_ref))
    replace(f"{_NAME}._invoke", _invoke(functions._invoke))
    replace(f"{_NAME}._reserved_concurrency", _reserved_concurrency)
