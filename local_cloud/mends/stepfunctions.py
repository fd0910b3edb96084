"""Step Functions: how tasks fail and are retried, how executions start, stop and run out of time.

Restores the behaviour of the AWS documentation pages "Handling errors in Step Functions workflows" (MaxDelaySeconds,
JitterStrategy, what States.ALL cannot catch), "Map workflow state" (one failed iteration stops the others), "State machine
structure" (TimeoutSeconds), "StartExecution" (a repeated
call is idempotent while the execution runs), "StopExecution", "Invoke an AWS Lambda function with Step Functions" and
"Publish messages to an Amazon SNS topic with Step Functions".
"""

from __future__ import annotations

import contextvars
import json
import random
import threading
from collections.abc import Callable
from typing import Any

from local_cloud.mends.execution_ends import claim
from local_cloud.mends.patching import core, replace, require, service

_NAME = "ministack.services.stepfunctions"
TARGETS = (
    f"{_NAME}._execute_task",
    f"{_NAME}._with_retry_and_catch",
    f"{_NAME}._error_matches",
    f"{_NAME}._call_lambda",
    f"{_NAME}._run_map_items",
    f"{_NAME}._run_sub_machine",
    f"{_NAME}._run_execution",
    f"{_NAME}._fail_execution",
    f"{_NAME}._start_execution",
    f"{_NAME}._add_event",
    f"{_NAME}._SERVICE_DISPATCH",
    f"{_NAME}._invoke_sns_publish",
    f"{_NAME}._scaled_sleep",
)

#: A state's input and output may not be larger ("Step Functions service quotas").
MAX_DATA_BYTES = 262_144
#: Errors that no retrier and no States.ALL catcher sees.
_TERMINAL = ("States.Runtime",)
_SNS_PUBLISH = "arn:aws:states:::sns:publish"

_lock = threading.RLock()
#: Inside a Map, the errors its iterations ended with: one is enough to stop the others.
_failed_iterations: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("failed_iterations", default=None)


def _error(name: str, cause: str) -> Exception:
    error: Exception = service("stepfunctions")._ExecutionError(name, cause)
    return error


def _error_matches(error_equals: list[str], error: str) -> bool:
    """Whether a retrier or catcher is for this error."""
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
        How often this retrier has been used for this state already.
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
        # Stopped or out of time: no retrier and no catcher may carry on, and the recorded status stays.
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
    """Call what the task names, within its timeout."""
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
    """Invoke a function for a task: its error type becomes the error's name, its error document the cause."""
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
    """A Map whose iterations know of each other's failure; a distributed one counts them and goes on."""

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
    """An iteration does not begin, and ends with the first failure's error, once another one has failed."""

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


def _run_execution(original: Callable[..., Any]) -> Callable[..., Any]:
    """Give the execution the time its definition allows."""

    def run(execution_arn: str) -> None:
        machines = service("stepfunctions")
        execution = machines._executions.get(execution_arn) or {}
        machine = machines._state_machines.get(execution.get("stateMachineArn", "")) or {}
        limit = json.loads(machine.get("definition", "{}")).get("TimeoutSeconds")
        if limit is None:
            original(execution_arn)
            return
        context = contextvars.copy_context()
        timer = threading.Timer(float(limit), context.run, args=(_time_out, execution))
        timer.daemon = True
        timer.start()
        try:
            original(execution_arn)
        finally:
            timer.cancel()

    return run


def _time_out(execution: dict[str, Any]) -> None:
    if not claim(execution, "TIMED_OUT"):
        return
    machines = service("stepfunctions")
    execution.update(error="States.Timeout", stopDate=core("responses").now_iso())
    details = {"error": "States.Timeout", "cause": "The execution ran longer than its TimeoutSeconds"}
    machines._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": details})
    machines._emit_execution_status_event(execution)


def _fail_execution(execution: dict[str, Any], error: str, cause: str) -> None:
    """An execution that was stopped or ran out of time does not fail afterwards; a failed one has no output."""
    if not claim(execution, "FAILED"):
        return
    machines = service("stepfunctions")
    execution.update(error=error, cause=cause, stopDate=core("responses").now_iso())
    machines._add_event(execution, "ExecutionFailed", {"executionFailedEventDetails": {"error": error, "cause": cause}})
    machines._emit_execution_status_event(execution)


def _start_execution(original: Callable[..., Any]) -> Callable[..., Any]:
    """A repeated StartExecution answers with the execution that runs, if name and input are the same."""

    def start(data: dict[str, Any]) -> Any:
        machines, responses = service("stepfunctions"), core("responses")
        text = data.get("input", "{}")
        try:
            json.loads(text)
        except ValueError as error:
            reason = f"Invalid State Machine Execution Input: {error}"
            return responses.error_response_json("InvalidExecutionInput", reason, 400)
        with _lock:
            machine_arn = machines._resolve_state_machine_arn(data.get("stateMachineArn", "").split("#")[0])
            if data.get("name") and machine_arn is not None:
                prefix = machine_arn.replace(":stateMachine:", ":execution:")
                running = machines._executions.get(f"{prefix}:{data['name']}")
                if running and running["status"] == "RUNNING" and running["input"] == text:
                    return responses.json_response({"executionArn": running["executionArn"], "startDate": running["startDate"]})
            return original(data)

    return start


def _add_event(execution: dict[str, Any], event_type: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    """Append to an execution's history; branches of a Map share it, so numbers are given under a lock."""
    with _lock:
        number = len(execution["events"]) + 1
        event = {
            "id": number,
            "previousEventId": number - 1,
            "type": event_type,
            "timestamp": core("responses").now_iso(),
            **(details or {}),
        }
        execution["events"].append(event)
        return event


def apply() -> None:
    """Run tasks and executions by AWS's rules."""
    require(TARGETS)
    machines = service("stepfunctions")
    replace(f"{_NAME}._error_matches", _error_matches)
    replace(f"{_NAME}._with_retry_and_catch", _with_retry_and_catch)
    replace(f"{_NAME}._call_lambda", _call_lambda)
    replace(f"{_NAME}._add_event", _add_event)
    replace(f"{_NAME}._fail_execution", _fail_execution)
    wrappers = {
        "_execute_task": _execute_task,
        "_run_map_items": _run_map_items,
        "_run_sub_machine": _run_sub_machine,
        "_run_execution": _run_execution,
        "_start_execution": _start_execution,
    }
    for name, wrap in wrappers.items():
        replace(f"{_NAME}.{name}", wrap(getattr(machines, name)))
    machines._SERVICE_DISPATCH[_SNS_PUBLISH] = _publish_to_topic
