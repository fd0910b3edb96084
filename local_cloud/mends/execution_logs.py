"""Execution history in CloudWatch Logs.

Restores the behaviour of the AWS documentation pages "Using CloudWatch Logs to log execution history in Step Functions"
and "Log levels for Step Functions execution events". Each event of the history is one JSON log event, at the level of
the state machine's logging configuration. Input, output and parameters are written only if the configuration includes
execution data. Without this mend the configuration is stored and returned, and nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from local_cloud.mends import vended_logs
from local_cloud.mends.patching import replace, require, service

_NAME = "ministack.services.stepfunctions"
TARGETS = (f"{_NAME}._add_event", f"{_NAME}._state_machines")

_FATAL = frozenset({"ExecutionAborted", "ExecutionFailed", "ExecutionTimedOut"})
_ERROR_ENDINGS = ("Failed", "TimedOut", "Aborted")
_DATA = ("input", "output", "parameters")
_DATA_LIMIT = 248 * 1024  # characters; longer values are truncated


def logged(level: str, event_type: str) -> bool:
    """Whether an event of the history is written at a level: ``ALL``, ``ERROR``, ``FATAL`` or ``OFF``."""
    if level == "ERROR":
        return event_type.endswith(_ERROR_ENDINGS) or event_type == "FailStateEntered"
    return level == "ALL" or (level == "FATAL" and event_type in _FATAL)


def line(execution: dict[str, Any], event: dict[str, Any], *, include_data: bool) -> str:
    """Return the log line for an event of the history."""
    details: dict[str, Any] = {}
    for name, given in event.items():
        if name.endswith("EventDetails"):
            details = {key: value for key, value in given.items() if key.removesuffix("Details") not in _DATA}
            for key in _DATA if include_data else ():
                if given.get(key) is not None:
                    text = str(given[key])
                    details[key] = text[:_DATA_LIMIT]
                    details[f"{key}Details"] = {"truncated": len(text) > _DATA_LIMIT}
    return json.dumps(
        {
            "id": str(event["id"]),
            "type": event["type"],
            "details": details,
            "redrive_count": str(execution.get("redriveCount", 0)),
            "previous_event_id": str(event.get("previousEventId", 0)),
            "event_timestamp": str(_milliseconds(event)),
            "execution_arn": execution["executionArn"],
        }
    )


def _milliseconds(event: dict[str, Any]) -> int:
    return int(datetime.fromisoformat(str(event["timestamp"])).timestamp() * 1000)


def _write(execution: dict[str, Any], event: dict[str, Any]) -> None:
    machine = service("stepfunctions")._state_machines.get(execution["stateMachineArn"]) or {}
    settings = machine.get("loggingConfiguration") or {}
    if not logged(str(settings.get("level", "OFF")), event["type"]):
        return
    message = line(execution, event, include_data=bool(settings.get("includeExecutionData")))
    name = execution["stateMachineArn"].rsplit(":", 1)[-1]
    stream = f"states/{name}/{datetime.now(UTC):%Y-%m-%d-%H}/00000000"
    for destination in settings.get("destinations") or []:
        arn = (destination.get("cloudWatchLogsLogGroup") or {}).get("logGroupArn", "")
        vended_logs.write(arn, stream, _milliseconds(event), message)


def _add_event(original: Callable[..., Any]) -> Callable[..., Any]:
    def add(execution: dict[str, Any], event_type: str, details: dict[str, Any] | None = None) -> Any:
        event = original(execution, event_type, details)
        if event["id"] == 2:  # the first event is created with the execution, not by this function
            _write(execution, execution["events"][0])
        _write(execution, event)
        return event

    return add


def apply() -> None:
    """Log the history of executions whose state machines configure logging."""
    require(TARGETS)
    replace(TARGETS[0], _add_event(service("stepfunctions")._add_event))
