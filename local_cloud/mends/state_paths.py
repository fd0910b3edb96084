"""JSONPath, Parameters, Choice variables and intrinsic functions of state machines.

Restores the behaviour of the AWS documentation pages "Handling errors in Step Functions workflows" (error names),
"Using JSONPath paths", "Choice workflow state" and "Intrinsic functions for JSONPath states". Without this mend the
emulator uses null where a path does not exist, so a task runs with a wrong input, while AWS fails the execution; and
``States.Format`` writes booleans, nulls and objects in Python's spelling.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from local_cloud.mends.patching import replace, require, service

_NAME = "ministack.services.stepfunctions"
TARGETS = (
    f"{_NAME}._resolve_path",
    f"{_NAME}._parse_jsonpath_tokens",
    f"{_NAME}._resolve_params_obj",
    f"{_NAME}._evaluate_rule",
    f"{_NAME}._evaluate_intrinsic",
    f"{_NAME}._exec_intrinsic",
    f"{_NAME}._eval_intrinsic_arg",
    f"{_NAME}._apply_result_path_raw",
    f"{_NAME}._execute_wait",
    f"{_NAME}._ExecutionError",
)


def _error(name: str, cause: str) -> Exception:
    error: Exception = service("stepfunctions")._ExecutionError(name, cause)
    return error


def _resolve_path(original: Callable[..., Any]) -> Callable[..., Any]:
    def resolve(path: str, data: Any) -> Any:
        if not path or path == "$" or not path.startswith("$"):
            return original(path, data)
        tokens = service("stepfunctions")._parse_jsonpath_tokens(path)
        if tokens is None:
            raise _error("States.Runtime", f"Invalid path '{path}'")
        if any(kind == "wildcard" for kind, _ in tokens):
            return original(path, data)
        found = data
        for kind, step in tokens:
            exists = (
                isinstance(found, dict) and step in found if kind == "field" else isinstance(found, list) and step < len(found)
            )
            if not exists:
                text = json.dumps(data)
                raise _error("States.Runtime", f"The JSONPath '{path}' could not be found in the input '{text}'")
            found = found[step]
        return found

    return resolve


def _resolve_parameters(original: Callable[..., Any]) -> Callable[..., Any]:
    """Use the error name for a path in Parameters, ItemSelector or ResultSelector that does not exist."""

    def resolve(template: Any, data: Any, ctx: Any = None) -> Any:
        try:
            return original(template, data, ctx)
        except service("stepfunctions")._ExecutionError as error:
            if error.error == "States.Runtime":
                raise _error("States.ParameterPathFailure", error.cause) from error
            raise

    return resolve


def _evaluate_rule(original: Callable[..., Any]) -> Callable[..., Any]:
    """Evaluate IsPresent by the existence of the path; a null value is present."""

    def evaluate(rule: dict[str, Any], data: Any, ctx: Any = None) -> Any:
        if "IsPresent" not in rule:
            return original(rule, data, ctx)
        machines = service("stepfunctions")
        try:
            machines._resolve_path_or_ctx(rule["Variable"], data, ctx)
        except machines._ExecutionError:
            return not rule["IsPresent"]
        return rule["IsPresent"]

    return evaluate


def _evaluate_intrinsic(original: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate(expression: str, data: Any, ctx: Any) -> Any:
        try:
            return original(expression, data, ctx)
        except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            raise _error("States.IntrinsicFailure", f"The function '{expression}' had an error: {error}") from error

    return evaluate


def _execute_intrinsic(original: Callable[..., Any]) -> Callable[..., Any]:
    """Format every value except strings as JSON in States.Format."""

    def execute(node: tuple[str, str, list[Any]], data: Any, ctx: Any) -> Any:
        kind, name, arguments = node
        if name != "States.Format":
            return original(node, data, ctx)
        values = [service("stepfunctions")._eval_intrinsic_arg(argument, data, ctx) for argument in arguments]
        texts = [value if isinstance(value, str) else json.dumps(value, separators=(",", ":")) for value in values]
        if texts and texts[0].count("{}") != len(texts) - 1:
            raise ValueError(f"{texts[0].count('{}')} placeholders for {len(texts) - 1} arguments")
        return original((kind, name, [("str", text) for text in texts]), data, ctx)

    return execute


def _apply_result_path(original: Callable[..., Any]) -> Callable[..., Any]:
    """Fail when a ResultPath has no object to write to."""

    def apply_path(result_path: Any, raw_input: Any, result: Any) -> Any:
        if result_path not in (None, "$") and not isinstance(raw_input, dict):
            raise _error(
                "States.ResultPathMatchFailure",
                f"Unable to apply ResultPath '{result_path}' to input '{json.dumps(raw_input)}'",
            )
        return original(result_path, raw_input, result)

    return apply_path


def _execute_wait(original: Callable[..., Any]) -> Callable[..., Any]:
    """Fail when SecondsPath does not refer to a non-negative integer."""

    def execute(state: dict[str, Any], raw_input: Any, ctx: Any = None) -> Any:
        machines = service("stepfunctions")
        if "SecondsPath" in state:
            effective = machines._apply_input_path(state, raw_input, ctx)
            seconds = machines._resolve_path_or_ctx(state["SecondsPath"], effective, ctx)
            if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 0:
                raise _error(
                    "States.Runtime",
                    f"The SecondsPath parameter '{state['SecondsPath']}' does not reference a non-negative integer: "
                    f"{json.dumps(seconds)}",
                )
        return original(state, raw_input, ctx)

    return execute


def apply() -> None:
    """Use AWS's error names for missing paths, and JSON in States.Format."""
    require(TARGETS)
    machines = service("stepfunctions")
    wrappers = {
        "_resolve_path": _resolve_path,
        "_resolve_params_obj": _resolve_parameters,
        "_evaluate_rule": _evaluate_rule,
        "_evaluate_intrinsic": _evaluate_intrinsic,
        "_exec_intrinsic": _execute_intrinsic,
        "_apply_result_path_raw": _apply_result_path,
        "_execute_wait": _execute_wait,
    }
    for name, wrap in wrappers.items():
        replace(f"{_NAME}.{name}", wrap(getattr(machines, name)))
