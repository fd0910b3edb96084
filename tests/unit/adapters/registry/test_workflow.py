"""The contract of the Workflow port, run against memory and Step Functions (moto in process)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from driftless.adapters.stepfunctions import StepFunctionsWorkflow
from driftless.errors import NotFound
from driftless.ports import Workflow
from driftless.testing.memory_registry import MemoryWorkflow

ROLE = "arn:aws:iam::123456789012:role/any"
MACHINE = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("stepfunctions", region_name="us-east-1")


@pytest.fixture(params=["memory", "stepfunctions"])
def workflow(request: pytest.FixtureRequest) -> Workflow:
    if request.param == "memory":
        return MemoryWorkflow()
    client = request.getfixturevalue("states")
    arn = client.create_state_machine(name="train", definition=MACHINE, roleArn=ROLE)["stateMachineArn"]
    return StepFunctionsWorkflow(arn, client=client)


def test_a_started_execution_runs_under_its_name(workflow: Workflow) -> None:
    arn = workflow.start("retrain-flights-1", {"project": "flights"})
    assert arn.endswith(":retrain-flights-1")
    assert workflow.running() == ["retrain-flights-1"]


def test_starting_the_same_name_again_returns_the_first_execution(workflow: Workflow) -> None:
    first = workflow.start("retrain-flights-1", {"project": "flights"})
    assert workflow.start("retrain-flights-1", {"project": "flights"}) == first
    assert workflow.start("retrain-flights-1", {"project": "flights", "reason": "harm"}) == first
    assert workflow.running() == ["retrain-flights-1"]


def test_a_name_that_ran_and_ended_is_not_started_again(states: Any) -> None:
    arn = states.create_state_machine(name="train", definition=MACHINE, roleArn=ROLE)["stateMachineArn"]
    workflow = StepFunctionsWorkflow(arn, client=states)
    first = workflow.start("retrain-flights-1", {"project": "flights"})
    states.stop_execution(executionArn=first)
    assert workflow.start("retrain-flights-1", {"project": "flights"}) == first
    assert workflow.running() == []


def test_a_machine_that_is_not_there_says_so(states: Any) -> None:
    missing = "arn:aws:states:us-east-1:123456789012:stateMachine:gone"
    with pytest.raises(NotFound, match="gone"):
        StepFunctionsWorkflow(missing, client=states).start("a", {})
