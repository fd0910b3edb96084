"""Step Functions logs the history of executions as the state machine configures it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.mends.execution_logs import logged
from tests.local_cloud.conftest import ROLE, eventually

Clients = Callable[[str], Any]
PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Succeed"}}}
FAIL = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Fail", "Error": "Bad", "Cause": "told to"}}}


class Logged:
    """Runs a state machine that logs, and reads what it logged."""

    def __init__(self, client: Clients) -> None:
        self._machines, self._logs = client("stepfunctions"), client("logs")

    def run(self, definition: dict[str, Any], level: str, *, data: bool = False) -> tuple[str, list[dict[str, Any]]]:
        """Return the execution and its log lines; the stream's name and the times are checked on the way."""
        name = f"logged-{uuid.uuid4().hex[:8]}"
        self._logs.create_log_group(logGroupName=name)
        group = f"arn:aws:logs:us-east-1:000000000000:log-group:{name}:*"
        machine = self._machines.create_state_machine(
            name=name,
            definition=json.dumps(definition),
            roleArn=ROLE,
            loggingConfiguration={
                "level": level,
                "includeExecutionData": data,
                "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}],
            },
        )["stateMachineArn"]
        execution = str(self._machines.start_execution(stateMachineArn=machine, input='{"x": 1}')["executionArn"])
        eventually(lambda: self._machines.describe_execution(executionArn=execution)["status"] != "RUNNING")
        events = self._logs.filter_log_events(logGroupName=name)["events"]
        for event in events:
            assert re.fullmatch(rf"states/{name}/\d{{4}}-\d\d-\d\d-\d\d/00000000", event["logStreamName"])
            assert event["timestamp"] == int(json.loads(event["message"])["event_timestamp"])
        return execution, [json.loads(event["message"]) for event in events]

    def history(self, execution: str) -> list[dict[str, Any]]:
        return list(self._machines.get_execution_history(executionArn=execution)["events"])


@pytest.fixture
def machines(client: Clients) -> Logged:
    return Logged(client)


def test_every_event_of_the_history_is_logged(machines: Logged) -> None:
    """Step Functions documentation: "Using CloudWatch Logs to log execution history in Step Functions"."""
    execution, lines = machines.run(PASS, "ALL")
    history = machines.history(execution)
    assert [(line["id"], line["type"]) for line in lines] == [(str(event["id"]), event["type"]) for event in history]
    assert [line["previous_event_id"] for line in lines] == [str(event.get("previousEventId", 0)) for event in history]
    assert {line["execution_arn"] for line in lines} == {execution}
    assert {line["redrive_count"] for line in lines} == {"0"}
    assert lines[0]["details"] == {"roleArn": ROLE}
    assert lines[1]["details"] == {"name": "A"}


def test_execution_data_is_logged_when_configured(machines: Logged) -> None:
    _, lines = machines.run(PASS, "ALL", data=True)
    assert json.loads(lines[0]["details"]["input"]) == {"x": 1}
    assert lines[0]["details"]["inputDetails"] == {"truncated": False}
    assert json.loads(lines[-1]["details"]["output"]) == {"x": 1}


@pytest.mark.parametrize(
    ("level", "expected"),
    [("ERROR", ["FailStateEntered", "ExecutionFailed"]), ("FATAL", ["ExecutionFailed"]), ("OFF", [])],
)
def test_levels_error_and_fatal_log_only_failures(machines: Logged, level: str, expected: list[str]) -> None:
    """Step Functions documentation: "Log levels for Step Functions execution events"."""
    _, lines = machines.run(FAIL, level)
    assert [line["type"] for line in lines] == expected
    if lines:
        assert lines[-1]["details"] == {"error": "Bad", "cause": "told to"}


def test_error_events_are_those_of_the_documentation() -> None:
    errors = ("TaskFailed", "TaskTimedOut", "LambdaFunctionScheduleFailed", "MapIterationAborted", "TaskSubmitFailed")
    others = ("TaskScheduled", "TaskSucceeded", "ExecutionStarted", "FailStateExited")
    assert all(logged("ERROR", event) and not logged("FATAL", event) for event in errors)
    assert not any(logged("ERROR", event) for event in others)
    assert all(logged("FATAL", f"Execution{end}") for end in ("Failed", "Aborted", "TimedOut"))
