"""Every machine with every task failing by every error it retries or catches.

A retryable error is retried and the execution continues. A terminal error ends the execution under its own name, after a
notification, with an unchanged champion. A notification that cannot be sent hides no error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.workflows.machine import Script, definition_of, run
from tests.workflows.scripts import INPUTS, happy, returning

TERMINAL = ("DataRejected", "LeakageFound", "Runtime.ExitError", "KeyError")
ATTEMPTS = 4
LONGEST_BURST = 12
"""How often an invocation beyond the account's concurrency is retried."""


def function_tasks(states: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for state in states.values():
        if state["Type"] == "Task" and state["Resource"].startswith("${"):
            yield state["Resource"].strip("${}"), state
        if state["Type"] == "Map":
            yield from function_tasks(state["ItemProcessor"]["States"])


def cases() -> list[tuple[str, str, str]]:
    """Machine, function, and each error that its task retries."""
    found = set()
    for machine in INPUTS:
        for function, state in function_tasks(definition_of(machine)["States"]):
            found |= {(machine, function, error) for retry in state["Retry"] for error in retry["ErrorEquals"]}
    return sorted(found)


FUNCTIONS = sorted({(machine, function) for machine, function, _ in cases()})


def champion_is_safe(script: Script, function: str) -> None:
    """A failed rollout is rolled back by its own last call; any earlier failure never reaches deployment."""
    if function == "Deployment":
        name, event = script.calls[-1]
        assert name == "Deployment"
        assert event["abandon"] is True
        assert event["version"]["version"] == 7
    else:
        assert "Deployment" not in script.called()


@pytest.mark.parametrize(("machine", "function", "error"), cases())
def test_retryable_errors_are_retried(machine: str, function: str, error: str) -> None:
    script = happy()
    script.failures[function] = [error]
    outcome = run(machine, script, INPUTS[machine])
    assert outcome.status == "SUCCEEDED", outcome
    assert script.called().count(function) == (2 if function == "Deployment" else 1) + 1
    assert outcome.messages == []


@pytest.mark.parametrize(("machine", "function"), FUNCTIONS)
def test_an_error_that_outlasts_its_retries_fails_the_execution_under_its_own_name(machine: str, function: str) -> None:
    script = happy()
    # The rollback that follows a failed deployment then succeeds.
    script.failures[function] = ["StoreUnavailable"] * ATTEMPTS
    outcome = run(machine, script, INPUTS[machine])
    assert (outcome.status, outcome.error) == ("FAILED", "StoreUnavailable")
    assert f"{function} said StoreUnavailable" in str(outcome.cause)
    if machine == "train_and_deploy":
        champion_is_safe(script, function)


@pytest.mark.parametrize(("machine", "function"), FUNCTIONS)
def test_invocations_beyond_the_accounts_concurrency_are_retried(machine: str, function: str) -> None:
    script = happy()
    script.failures[function] = ["Lambda.TooManyRequestsException"] * LONGEST_BURST
    outcome = run(machine, script, INPUTS[machine])
    assert outcome.status == "SUCCEEDED", outcome
    assert outcome.messages == []


@pytest.mark.parametrize("error", ["Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.Timedout", "OutOfResources"])
def test_a_candidate_that_kills_its_function_leaves_the_other_candidates(error: str) -> None:
    script = happy(candidates=3)
    script.failures["Tuning"] = [error]
    outcome = run("train_and_deploy", script, INPUTS["train_and_deploy"])
    assert outcome.status == "SUCCEEDED", outcome
    (event,) = [event for name, event in script.calls if name == "Training"]
    failed = [tuned for tuned in event["tuned"] if "failure" in tuned]
    assert [tuned["failure"] for tuned in failed] == [f"its function ended with {error}"]
    assert sorted(tuned["candidate"]["index"] for tuned in event["tuned"]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("machine", "function", "error"),
    [(*where, error) for where in FUNCTIONS for error in TERMINAL if (where[1], error) != ("Tuning", "Runtime.ExitError")],
)
def test_terminal_errors_are_not_retried(machine: str, function: str, error: str) -> None:
    script = happy()
    script.failures[function] = [error]
    outcome = run(machine, script, INPUTS[machine])
    assert (outcome.status, outcome.error) == ("FAILED", error)
    assert f"{function} said {error}" in str(outcome.cause)
    assert outcome.states[-2:] == ["NotifyFailure", "Failed"]
    (message,) = outcome.messages
    assert message["Subject"].endswith("failed")
    assert f"failed with {error}" in message["Message"]
    assert "run-1" in message["Message"]
    if function != "Deployment":
        assert script.called().count(function) == 1
        assert script.called()[-1] == function
    if machine == "train_and_deploy":
        champion_is_safe(script, function)


@pytest.mark.parametrize(("machine", "function"), FUNCTIONS)
def test_a_notification_that_cannot_be_sent_hides_no_error(machine: str, function: str) -> None:
    script = happy()
    script.failures[function] = ["DataRejected"]
    outcome = run(machine, script, INPUTS[machine], topic=False)
    assert (outcome.status, outcome.error) == ("FAILED", "DataRejected")


def test_a_rollout_that_fails_while_baking_is_rolled_back() -> None:
    script = happy()
    first = script.results["Deployment"]

    def then_fails(event: dict[str, Any]) -> dict[str, Any]:
        record: dict[str, Any] = first(event)
        if record["status"] == "baking":
            script.failures["Deployment"] = ["IllegalMove"]
        return record

    script.results["Deployment"] = then_fails
    outcome = run("train_and_deploy", script, INPUTS["train_and_deploy"])
    assert (outcome.status, outcome.error) == ("FAILED", "IllegalMove")
    assert outcome.states[-5:] == ["Bake", "ContinueRollout", "RollBack", "NotifyFailure", "Failed"]
    champion_is_safe(script, "Deployment")


def test_a_rollback_that_fails_too_still_reports_the_first_error() -> None:
    script = happy()
    script.failures["Deployment"] = ["IllegalMove", "NotFound"]
    outcome = run("train_and_deploy", script, INPUTS["train_and_deploy"])
    assert (outcome.status, outcome.error) == ("FAILED", "IllegalMove")
    (message,) = outcome.messages
    assert "failed with IllegalMove" in message["Message"]


@pytest.mark.parametrize("message", ["a rejected file", "an approval", "a roll back"])
def test_a_decision_stands_when_its_notification_cannot_be_sent(message: str) -> None:
    script = happy()
    returning(script, "Validation", status="rejected")
    if message == "an approval":
        returning(script, "Evaluation", decision="await_approval")
    if message == "a roll back":
        returning(script, "Deployment", status="rolled_back")
    machine = "ingest" if message == "a rejected file" else "train_and_deploy"
    assert run(machine, script, INPUTS[machine], topic=False).status == "SUCCEEDED"
