"""Step Functions tasks: errors, retries and timeouts, Map iterations, and calls of Lambda and SNS.

Restores the behaviour of the AWS documentation pages "Handling errors in Step Functions workflows" (MaxDelaySeconds,
JitterStrategy, which errors States.ALL does not catch), "Map workflow state" (one failed iteration stops the others),
"Invoke an AWS Lambda function with Step Functions" and "Publish messages to an Amazon SNS topic with Step Functions".
"""

from __future__ import annotations

import contextvars
import json
import random
from collections.abc import Callable
from typing import Any

from local_cloud.mends.patching import core, replace, require, service

_NAME = "ministack.services.stepfunctions"
TARGETS = (
    f"{_NAME}._execute_task",
    f"{_NAME}._with_retry_and_catch",
    f"{_NAME}._error_matches",
    f"{_NAME}._call_lambda",
    f"{_NAME}._run_map_items",
    f"{_NAME}._run_sub_machine",
    f"{_NAME}._SERVICE_DISPATCH",
    f"{_NAME}._invoke_sns_publish",
    f"{_NAME}._scaled_sleep",
)

#: Maximum size of a state's input and output ("Step Functions service quotas").
MAX_DATA_BYTES = 262_144
#: Errors that no retrier and no catcher handles.
_TERMINAL = ("States.Runtime",)
_SNS_PUBLISH = "arn:aws:states:::sns:publish"

#: Inside a Map, the errors of its failed iterations; one stops the others.
_failed_iterations: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("failed_iterations", default=None)


def _error(name: str, cause: str) -> Exception:
    error: Exception = service("stepfunctions")._ExecutionError(name, cause)
    return error


def _error_matches(error_equals: list[str], error: str) -> bool:
    """Whether a retrier or catcher with these names handles an error."""
    if error in _TERMINAL:
        return False
    if error in error_equals:
        return True
    if error == "States.DataLimitExceeded":
        return False
    return "States.ALL" in error_equals or ("States.TaskFailed" in error_equals and error != "States.Timeout")


def delay_before_retry(retrier: dict[str, Any], retries_made: int) -> float:
    """Return the seconds to wait before the next attempt.

    Parameters
    ----------
    retrier : dict
        A retrier of the state machine definition.
    retries_made : int
        How often this retrier was used for this state.
    """
    delay = float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2.0)) ** retries_made
    delay = min(delay, float(retrier.get("MaxDelaySeconds", delay)))
    if retrier.get("JitterStrategy", "NONE") == "FULL":
        return random.uniform(0.0, delay)  # noqa: S311 - jitter, not a secret
    return delay


def _with_retry_and_catch(
    state: dict[str, Any], raw_input: Any, ctx: dict[str, Any], attempt: Callable[[], tuple[Any, Any]]
) -> tuple[Any, Any]:
    """Run attempts of a Task, Map or Parallel state under its Retry and Catch fields."""
    machines = service("stepfunctions")
    entered = ctx["State"]
    used: dict[int, int] = {}
    while True:
        ctx["State"] = {**entered, "RetryCount": sum(used.values())}
        try:
            return attempt()
        except machines._ExecutionError as error:
            retrier, index = machines._find_matching_retrier(state.get("Retry", []), error.error, used)
            if retrier is not None:
                machines._scaled_sleep(delay_before_retry(retrier, used.get(index, 0)))
                used[index] = used.get(index, 0) + 1
                continue
            catcher = machines._find_matching_catcher(state.get("Catch", []), error.error)
            if catcher is None:
                raise
            caught = {"Error": error.error, "Cause": error.cause}
            language = machines._state_query_language(state, ctx)
            return machines._apply_catcher(catcher, raw_input, ctx, language, caught), catcher["Next"]


def _execute_task(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute(state: dict[str, Any], raw_input: Any, execution: dict[str, Any], ctx: dict[str, Any]) -> Any:
        machines = service("stepfunctions")
        if machines._state_query_language(state, ctx) == "JSONata":
            return original(state, raw_input, execution, ctx)
        return machines._with_retry_and_catch(state, raw_input, ctx, lambda: _attempt_task(state, raw_input, execution, ctx))

    return execute


def _attempt_task(state: dict[str, Any], raw_input: Any, execution: dict[str, Any], ctx: dict[str, Any]) -> tuple[Any, Any]:
    machines = service("stepfunctions")
    if execution["status"] != "RUNNING":
        # Stopped or timed out: no retrier and no catcher may continue, and the final status stays.
        raise _error("States.Runtime", f"The execution is {execution['status']}")
    if _failed_iterations.get():
        raise _error("States.Runtime", "Another iteration of the Map failed")
    resource = state["Resource"]
    if ".waitForTaskToken" in resource:
        ctx["Task"] = {"Token": core("responses").new_uuid()}
    effective = machines._apply_parameters(state, machines._apply_input_path(state, raw_input, ctx), ctx)
    kind = "lambda" if "lambda" in resource else "states"
    scheduled = {"resourceType": kind, "resource": resource, "parameters": json.dumps(effective)}
    machines._add_event(execution, "TaskScheduled", {"taskScheduledEventDetails": scheduled})
    try:
        result = _call_resource(state, resource, effective, raw_input, ctx)
        text = json.dumps(result)
        if len(text.encode()) > MAX_DATA_BYTES:
            raise _error(
                "States.DataLimitExceeded",
                f"The state/task '{resource}' returned a result with a size exceeding the maximum number of bytes service limit.",
            )
    except machines._ExecutionError as error:
        details = {"error": error.error, "cause": error.cause, "resourceType": kind, "resource": resource}
        timed_out = error.error == "States.Timeout"
        machines._add_event(
            execution,
            "TaskTimedOut" if timed_out else "TaskFailed",
            {"taskTimedOutEventDetails" if timed_out else "taskFailedEventDetails": details},
        )
        raise
    succeeded = {"output": text, "resourceType": kind, "resource": resource}
    machines._add_event(execution, "TaskSucceeded", {"taskSucceededEventDetails": succeeded})
    selected = machines._apply_result_selector(state, result)
    output = machines._apply_result_path(state, raw_input, selected)
    return machines._apply_output_path(state, output, ctx), machines._next_or_end(state)


def _call_resource(state: dict[str, Any], resource: str, effective: Any, raw_input: Any, ctx: dict[str, Any]) -> Any:
    """Call the task's resource within its timeout."""
    machines = service("stepfunctions")
    timeout = state.get("TimeoutSeconds")
    if "TimeoutSecondsPath" in state:
        timeout = machines._resolve_path_or_ctx(state["TimeoutSecondsPath"], raw_input, ctx)
        state = {**state, "TimeoutSeconds": timeout}
    if ".waitForTaskToken" in resource:
        return machines._invoke_with_callback(resource, effective, ctx["Task"]["Token"], state)
    if timeout is not None and ":activity:" not in resource:
        return machines._invoke_resource_with_timeout(resource, effective, timeout)
    return machines._invoke_resource(resource, effective)


def _call_lambda(function_ref: str, event: Any) -> Any:
    """Invoke a function for a task; its error type is the error name, and its error document the cause."""
    functions = service("lambda_svc")
    record, config, name = functions._get_func_record_for_ref(function_ref)
    if not record or not config:
        raise _error("Lambda.ResourceNotFoundException", f"Function not found: {name}")
    result = functions._execute_function_with_config_scope(functions._execution_record_for_config(record, config), event)
    throttled, failed = bool(result.get("throttle")), bool(result.get("error"))
    body = result.get("body")
    if isinstance(body, (bytes, bytearray)):
        body = body.decode()
    if throttled:
        raise _error("Lambda.TooManyRequestsException", body["message"] if isinstance(body, dict) else str(body))
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            if not failed:
                return body
    if failed:
        document = body if isinstance(body, dict) else {}
        raise _error(document.get("errorType") or "Lambda.Unknown", json.dumps(body))
    return body


def _publish_to_topic(resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The ``sns:publish`` integration, with SNS's own error names and message attributes."""
    topics = service("sns")
    arn = parameters.get("TopicArn") or parameters.get("TargetArn") or ""
    try:
        published = topics.publish_internal(
            arn,
            parameters.get("Message", ""),
            parameters.get("Subject", ""),
            message_structure=parameters.get("MessageStructure", ""),
            message_attributes=parameters.get("MessageAttributes"),
        )
    except topics.SnsPublishError as error:
        raise _error(f"SNS.{error.code}Exception", str(error)) from error
    if published is None:
        raise _error("SNS.NotFoundException", f"Topic does not exist: {arn}")
    return {"MessageId": published["message_id"]}


def _run_map_items(original: Callable[..., Any]) -> Callable[..., Any]:
    """Stop the iterations of a Map after the first failure; a distributed Map counts failures and continues."""

    def run(state: dict[str, Any], *given: Any) -> Any:
        processor = state.get("ItemProcessor") or state.get("Iterator") or {}
        distributed = (processor.get("ProcessorConfig") or {}).get("Mode") == "DISTRIBUTED"
        token = _failed_iterations.set(None if distributed else [])
        try:
            return original(state, *given)
        finally:
            _failed_iterations.reset(token)

    return run


def _run_sub_machine(original: Callable[..., Any]) -> Callable[..., Any]:
    """Do not start an iteration after another one failed, and end it with the error of the first failure."""

    def run(*given: Any) -> Any:
        failed = _failed_iterations.get()
        if failed:
            raise _error(failed[0].error, failed[0].cause)
        try:
            return original(*given)
        except service("stepfunctions")._ExecutionError as error:
            if failed is None:
                raise
            failed.append(error)
            raise _error(failed[0].error, failed[0].cause) from error

    return run


def apply() -> None:
    """Run tasks by AWS's rules."""
    require(TARGETS)
    machines = service("stepfunctions")
    replace(f"{_NAME}._error_matches", _error_matches)
    replace(f"{_NAME}._with_retry_and_catch", _with_retry_and_catch)
    replace(f"{_NAME}._call_lambda", _call_lambda)
    wrappers = {
        "_execute_task": _execute_task,
        "_run_map_items": _run_map_items,
        "_run_sub_machine": _run_sub_machine,
    }
    for name, wrap in wrappers.items():
        replace(f"{_NAME}.{name}", wrap(getattr(machines, name)))
    machines._SERVICE_DISPATCH[_SNS_PUBLISH] = _publish_to_topic
