"""Step Functions executions: idempotent starts, timeouts of the whole state machine, and numbered histories.

Restores the behaviour of the AWS documentation pages "StartExecution" (a repeated call is idempotent while the execution
runs), "StopExecution" and "State machine structure" (TimeoutSeconds).
"""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Callable
from typing import Any

from local_cloud.mends.execution_ends import claim
from local_cloud.mends.patching import core, replace, require, service

_NAME = "ministack.services.stepfunctions"
TARGETS = (
    f"{_NAME}._run_execution",
    f"{_NAME}._fail_execution",
    f"{_NAME}._start_execution",
    f"{_NAME}._add_event",
)

_lock = threading.RLock()


def _run_execution(original: Callable[..., Any]) -> Callable[..., Any]:
    """Apply the TimeoutSeconds of the definition."""

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
    """Fail an execution, unless it was stopped or has timed out; a failed execution has no output."""
    if not claim(execution, "FAILED"):
        return
    machines = service("stepfunctions")
    execution.update(error=error, cause=cause, stopDate=core("responses").now_iso())
    machines._add_event(execution, "ExecutionFailed", {"executionFailedEventDetails": {"error": error, "cause": cause}})
    machines._emit_execution_status_event(execution)


def _start_execution(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the running execution for a repeated StartExecution with the same name and input."""

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
    """Append to an execution's history, with the number assigned under a lock because Map iterations share it."""
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
    """Start, time out and end executions by AWS's rules."""
    require(TARGETS)
    machines = service("stepfunctions")
    replace(f"{_NAME}._add_event", _add_event)
    replace(f"{_NAME}._fail_execution", _fail_execution)
    replace(f"{_NAME}._run_execution", _run_execution(machines._run_execution))
    replace(f"{_NAME}._start_execution", _start_execution(machines._start_execution))
