"""An execution ends once, and its final status appears with its output and last event."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_cloud.mends.execution_ends import Execution, claim
from tests.local_cloud.conftest import ROLE, eventually
from tests.local_cloud.mends.conftest import Emulator

#: The last line of a log takes as long as the test wants.
SLOW_LOGS = """
import pathlib, time
from local_cloud.mends import vended_logs
write = vended_logs.write
def slow(destination, stream, timestamp, message):
    if '"type": "Execution' in message and "ExecutionStarted" not in message:
        pathlib.Path({began!r}).touch()
        while not pathlib.Path({end!r}).exists():
            time.sleep(0.02)
    write(destination, stream, timestamp, message)
vended_logs.write = slow
"""
ENDS = {
    "SUCCEEDED": {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}},
    "FAILED": {"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "Bad", "Cause": "told to"}}},
    "TIMED_OUT": {"TimeoutSeconds": 1, "StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 300, "End": True}}},
}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path)
    emulator.start(SLOW_LOGS.format(began=str(tmp_path / "began"), end=str(tmp_path / "end")))
    yield emulator
    emulator.kill()


@pytest.mark.parametrize("status", ENDS)
def test_an_execution_is_running_until_its_end_is_logged(cloud: Emulator, tmp_path: Path, status: str) -> None:
    machines, logs = cloud.client("stepfunctions"), cloud.client("logs")
    logs.create_log_group(logGroupName="log")
    group = "arn:aws:logs:us-east-1:000000000000:log-group:log:*"
    machine = machines.create_state_machine(
        name="machine",
        definition=json.dumps(ENDS[status]),
        roleArn=ROLE,
        loggingConfiguration={"level": "ALL", "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}]},
    )["stateMachineArn"]
    execution = machines.start_execution(stateMachineArn=machine, input='{"x": 1}')["executionArn"]

    def described() -> dict[str, Any]:
        return dict(machines.describe_execution(executionArn=execution))

    eventually((tmp_path / "began").exists)
    assert described()["status"] == "RUNNING"
    (tmp_path / "end").touch()
    eventually(lambda: described()["status"] == status)
    history = machines.get_execution_history(executionArn=execution)["events"]
    lines = [json.loads(event["message"]) for event in logs.filter_log_events(logGroupName="log")["events"]]
    assert [line["type"] for line in lines] == [event["type"] for event in history]
    if status == "SUCCEEDED":
        assert described()["output"] == '{"x": 1}'


def test_an_execution_ends_once() -> None:
    execution = Execution({"status": "RUNNING", "events": [{"type": "ExecutionStarted"}]})
    assert claim(execution, "SUCCEEDED")
    assert not claim(execution, "FAILED")
    assert execution["status"] == "RUNNING"
    execution.show_end()
    assert execution["status"] == "SUCCEEDED"
    assert not claim(execution, "FAILED")


def test_a_copy_has_its_status_with_its_last_event() -> None:
    execution = Execution({"status": "RUNNING", "events": [{"type": "ExecutionStarted"}]})
    execution["status"] = "SUCCEEDED"
    assert copy.deepcopy(execution)["status"] == "RUNNING"
    execution["events"].append({"type": "ExecutionSucceeded"})
    copied = copy.deepcopy(execution)
    assert (type(copied), copied["status"]) == (dict, "SUCCEEDED")
