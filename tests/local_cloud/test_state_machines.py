"""The state machine files on the embedded cloud: failures that moto cannot simulate.

Failed candidates, timeouts of tasks and state machines, functions that end, are throttled or do not exist, responses that
are too large, and rejected notifications.
"""

from __future__ import annotations

from typing import Any

import pytest

from local_cloud.lifecycle import Cloud
from tests.local_cloud.conftest import Functions, eventually
from tests.local_cloud.state_machines import Change, Machines, Outcome, Script
from tests.workflows.machine import definition_of

ATTEMPTS = 4
ATTEMPTS_IN_A_BURST = 13  # of a throttled function
FAILED = ["NotifyFailure", "Failed"]
CANDIDATE = ("train_and_deploy", "TuneCandidate")


@pytest.fixture(scope="module")
def machines(functions: Functions, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Machines:
    return Machines(functions, cloud.endpoint, tmp_path_factory.mktemp("scripts"))


def tasks() -> list[tuple[str, str]]:
    """Every task that calls a function: machine, state."""
    found = []
    for machine in ("ingest", "train_and_deploy", "monitor"):
        states = definition_of(machine)["States"]
        for name, state in [*states.items(), *states.get("Tune", {}).get("ItemProcessor", {}).get("States", {}).items()]:
            if state["Type"] == "Task" and state["Resource"].startswith("${"):
                found.append((machine, name))
    return found


def state_of(definition: dict[str, Any], name: str) -> dict[str, Any]:
    inner = definition["States"].get("Tune", {}).get("ItemProcessor", {}).get("States", {})
    result: dict[str, Any] = {**definition["States"], **inner}[name]
    return result


def function_of(machine: str, state: str) -> str:
    return str(state_of(definition_of(machine), state)["Resource"].strip("${}"))


def script_for(machine: str, state: str, act: dict[str, Any]) -> Script:
    """The script in which this very state meets the act."""
    before: dict[str, list[dict[str, Any] | None]] = {"ContinueRollout": [None], "RollBack": [{"raise": "IllegalMove"}]}
    function = function_of(machine, state)
    return {"Tuning:0" if function == "Tuning" else function: [*before.get(state, []), act]}


def beginning_at(state: str) -> Change:
    """Begin with this state where the input, which has all there may be, leads to another one."""

    def change(definition: dict[str, Any]) -> None:
        if state in ("Validate", "Monitor"):
            definition["StartAt"] = state

    return change


def expect_failure(outcome: Outcome, machine: str, state: str, error: str) -> None:
    """It ended with this error (or the first one, if the rollback of traffic fails too) and published a notification."""
    named = "IllegalMove" if state == "RollBack" else error
    assert (outcome.status, outcome.error) == ("FAILED", named), outcome
    assert outcome.states[-2:] == FAILED
    (message,) = outcome.messages
    assert f"failed with {named}" in message["Message"]
    if function_of(machine, state) == "Deployment":
        assert outcome.calls[-1][1]["abandon"] is True
    else:
        assert "Deployment" not in outcome.called()


def test_a_candidate_with_a_retryable_error_is_retried(machines: Machines) -> None:
    outcome = machines.run("train_and_deploy", {"Tuning:1": [{"raise": "StoreUnavailable"}]}, candidates=3)
    assert outcome.status == "SUCCEEDED", outcome
    called = outcome.called()
    assert [called.count(f"Tuning:{index}") for index in range(3)] == [1, 2, 1]
    (training,) = [event for step, event in outcome.calls if step == "Training"]
    assert [tuned["candidate"]["index"] for tuned in training["tuned"]] == [0, 1, 2]
    assert outcome.messages == []


def test_a_candidate_whose_function_ends_is_left_out_of_the_choice(machines: Machines) -> None:
    outcome = machines.run("train_and_deploy", {"Tuning:1": [{"exit": 3}]}, candidates=3)
    assert outcome.status == "SUCCEEDED", outcome
    (training,) = [event for step, event in outcome.calls if step == "Training"]
    assert [tuned["candidate"]["index"] for tuned in training["tuned"]] == [0, 1, 2]
    assert [tuned.get("failure") for tuned in training["tuned"]] == [None, "its function ended with Runtime.ExitError", None]


@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize(("error", "attempts"), [("LeakageFound", 1), ("Throttled", ATTEMPTS)])
def test_a_candidate_with_a_terminal_error_fails_the_run(machines: Machines, failing: int, error: str, attempts: int) -> None:
    acts: Script = {f"Tuning:{failing}": [{"raise": error}] * ATTEMPTS}
    outcome = machines.run("train_and_deploy", acts, candidates=3)
    assert (outcome.status, outcome.error) == ("FAILED", error)
    assert f"Tuning:{failing} said {error}" in str(outcome.cause)
    assert outcome.states[-2:] == FAILED
    (message,) = outcome.messages
    assert f"failed with {error}" in message["Message"]
    assert outcome.called().count(f"Tuning:{failing}") == attempts
    assert {"Training", "Deployment"} & set(outcome.called()) == set()


def test_no_candidate_is_started_or_retried_after_a_failed_one(machines: Machines) -> None:
    """Step Functions documentation, "Map workflow state": one failed iteration stops the others."""
    acts: Script = {
        "Tuning:0": [{"after": "Tuning:1", "raise": "LeakageFound"}],
        "Tuning:1": [{"after": "the failure", "raise": "Throttled"}],
    }
    execution = machines.start("train_and_deploy", acts, candidates=5)
    eventually(lambda: "LeakageFound" in execution.failed_tasks())
    execution.note("the failure")
    outcome = execution.outcome()
    assert (outcome.status, outcome.error) == ("FAILED", "LeakageFound")
    assert sorted(step for step in outcome.called() if step.startswith("Tuning")) == ["Tuning:0", "Tuning:1"]


@pytest.fixture(scope="module")
def timed_out(machines: Machines) -> dict[tuple[str, str], Outcome]:
    """Run one execution for each task that times out, all at once."""

    def hurried(state: str) -> Change:
        def change(definition: dict[str, Any]) -> None:
            state_of(definition, state)["TimeoutSeconds"] = 1
            beginning_at(state)(definition)

        return change

    started = {
        (machine, state): machines.start(machine, script_for(machine, state, {"sleep": 4}), change=hurried(state))
        for machine, state in tasks()
    }
    return {task: execution.outcome() for task, execution in started.items()}


@pytest.mark.parametrize(("machine", "state"), [task for task in tasks() if task != CANDIDATE])
def test_a_task_that_times_out_is_caught(timed_out: dict[tuple[str, str], Outcome], machine: str, state: str) -> None:
    outcome = timed_out[machine, state]
    assert state in outcome.states
    expect_failure(outcome, machine, state, "States.Timeout")


def test_a_candidate_that_times_out_is_left_out_of_the_choice(timed_out: dict[tuple[str, str], Outcome]) -> None:
    outcome = timed_out[CANDIDATE]
    (training,) = [event for step, event in outcome.calls if step == "Training"]
    assert [tuned.get("failure") for tuned in training["tuned"]] == ["its function ended with States.Timeout"]


@pytest.fixture(scope="module")
def too_large(machines: Machines) -> dict[tuple[str, str], Outcome]:
    """Run one execution for each task whose response is too large, all at once."""
    started = {
        (machine, state): machines.start(machine, script_for(machine, state, {"size": 262_200}), change=beginning_at(state))
        for machine, state in tasks()
    }
    return {task: execution.outcome() for task, execution in started.items()}


@pytest.mark.parametrize(("machine", "state"), tasks())
def test_a_response_that_is_too_large_is_caught(too_large: dict[tuple[str, str], Outcome], machine: str, state: str) -> None:
    """States.ALL does not catch States.DataLimitExceeded: without a catcher of its own a canary would keep its traffic."""
    expect_failure(too_large[machine, state], machine, state, "States.DataLimitExceeded")


def test_a_state_machine_that_times_out_stops_at_its_current_state(machines: Machines) -> None:
    def hurry(definition: dict[str, Any]) -> None:
        definition["TimeoutSeconds"] = 5

    outcome = machines.run("train_and_deploy", {"Training": [{"sleep": 30}]}, change=hurry)
    assert outcome.status == "TIMED_OUT"
    assert outcome.states[-1] == "Train"
    assert "Deployment" not in outcome.called()
    assert outcome.messages == []


DEATHS = {
    "Runtime.ExitError": "import os\ndef handler(event, context): os._exit(3)",
    "Sandbox.Timedout": "import time\ndef handler(event, context): time.sleep(30)",
    "Function.ResponseSizeTooLarge": "def handler(event, context): return 'x' * (7 << 20)",
}


@pytest.fixture(scope="module")
def died(machines: Machines) -> dict[str, Outcome]:
    """Run one execution for each way a function can end, all at once."""
    timeouts = {"Sandbox.Timedout": 2}
    functions = {error: machines.functions.create(body, Timeout=timeouts.get(error, 60)) for error, body in DEATHS.items()}
    client = machines.functions.client
    arns = {error: client.get_function(FunctionName=name)["Configuration"]["FunctionArn"] for error, name in functions.items()}
    started = {error: machines.start("train_and_deploy", arns={"Scoring": arn}) for error, arn in arns.items()}
    return {error: execution.outcome() for error, execution in started.items()}


@pytest.mark.parametrize("error", DEATHS)
def test_a_function_whose_process_ends_is_caught(died: dict[str, Outcome], error: str) -> None:
    expect_failure(died[error], "train_and_deploy", "Score", error)


def test_a_missing_function_is_caught(machines: Machines) -> None:
    gone = {"Scoring": machines.arns["Scoring"].replace(machines.function, "not-there")}
    outcome = machines.run("train_and_deploy", arns=gone)
    expect_failure(outcome, "train_and_deploy", "Score", "Lambda.ResourceNotFoundException")


def test_a_throttled_function_is_retried_and_caught(machines: Machines) -> None:
    busy = machines.functions.create("def handler(event, context): return {}")
    machines.functions.client.put_function_concurrency(FunctionName=busy, ReservedConcurrentExecutions=0)
    arn = machines.functions.client.get_function(FunctionName=busy)["Configuration"]["FunctionArn"]
    outcome = machines.run("train_and_deploy", arns={"Scoring": arn})
    expect_failure(outcome, "train_and_deploy", "Score", "Lambda.TooManyRequestsException")
    assert outcome.failed_tasks.count("Lambda.TooManyRequestsException") == ATTEMPTS_IN_A_BURST


NOTICES: list[tuple[str, str, Script, str, str | None]] = [
    ("ingest", "NotifyRejection", {"Validation": [{"answer": {"status": "rejected"}}]}, "SUCCEEDED", None),
    ("ingest", "NotifyFailure", {"Ingestion": [{"raise": "DataRejected"}]}, "FAILED", "DataRejected"),
    ("train_and_deploy", "AskApproval", {"Evaluation": [{"answer": {"decision": "await_approval"}}]}, "SUCCEEDED", None),
    ("train_and_deploy", "NotifyRollBack", {"Deployment": [{"answer": {"status": "rolled_back"}}]}, "SUCCEEDED", None),
    ("train_and_deploy", "NotifyFailure", {"Training": [{"raise": "ExportRefused"}]}, "FAILED", "ExportRefused"),
    ("monitor", "NotifyFailure", {"Monitoring": [{"raise": "NotEnoughData"}]}, "FAILED", "NotEnoughData"),
]


@pytest.mark.parametrize(("machine", "state", "acts", "status", "error"), NOTICES)
def test_a_rejected_notification_is_retried_and_does_not_change_the_outcome(
    machines: Machines, machine: str, state: str, acts: Script, status: str, error: str | None
) -> None:
    outcome = machines.run(machine, acts, topic=False)
    assert (outcome.status, outcome.error) == (status, error)
    assert state in outcome.states
    assert outcome.failed_tasks.count("SNS.NotFoundException") == ATTEMPTS


def test_every_notification_has_a_test_case() -> None:
    publishing = {
        (machine, name)
        for machine in ("ingest", "train_and_deploy", "monitor")
        for name, state in definition_of(machine)["States"].items()
        if state.get("Resource") == "arn:aws:states:::sns:publish"
    }
    assert publishing == {(machine, state) for machine, state, *_ in NOTICES}
