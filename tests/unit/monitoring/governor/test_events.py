"""The events that the governor handles, and the deployed function end to end on moto: event in, one execution out."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from driftless.adapters import aws
from driftless.entrypoint.governor import read_request
from driftless.errors import BadRequest

MACHINE = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
HANDLER = Path(__file__).parents[4] / "lambdas" / "governor" / "handler.py"


def alarm(state: str = "ALARM", description: Any = '{"project": "flights", "signal": "harm"}') -> dict[str, Any]:
    """An event as CloudWatch sends it."""
    return {
        "version": "0",
        "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": "123456789012",
        "time": "2026-03-01T12:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:cloudwatch:us-east-1:123456789012:alarm:HarmAlarm"],
        "detail": {
            "alarmName": "HarmAlarm",
            "state": {"value": state, "reason": "2.0 >= 2.0", "timestamp": "2026-03-01T12:00:00.000+0000"},
            "previousState": {"value": "OK"},
            "configuration": {"description": description, "metrics": []},
        },
    }


def test_an_alarm_names_project_signal_and_event() -> None:
    request = read_request(alarm(), delivery="lambda-1")
    assert (request.project, request.reason, request.event_id) == ("flights", "harm", alarm()["id"])
    assert request.asked_by == "alarm HarmAlarm"


def test_a_schedule_is_named_by_its_event_or_else_by_its_delivery() -> None:
    assert read_request({"project": "flights", "reason": "schedule", "event_id": "e"}, delivery="lambda-1").event_id == "e"
    assert read_request({"project": "flights", "reason": "schedule"}, delivery="lambda-1").event_id == "lambda-1"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (alarm(state="OK"), "in state OK"),
        (alarm(description="Harm of flights"), "expected JSON with project and signal"),
        (alarm(description='{"project": "flights"}'), "expected JSON with project and signal"),
        (alarm(description=None), "expected JSON with project and signal"),
        (alarm(description='{"project": "flights", "signal": "boredom"}'), "reason"),
        ({"project": "flights"}, "reason"),
        ({"project": "flights", "reason": "schedule", "extra": 1}, "extra"),
        ({}, "project"),
    ],
)
def test_an_event_without_a_request_is_refused(event: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        read_request(event, delivery="lambda-1")


@dataclass
class Context:
    """Lambda's context, as far as Powertools reads it."""

    aws_request_id: str = "lambda-1"
    function_name: str = "governor"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:governor"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The function's environment with its tables and its machine; yields the Step Functions client and the machine."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "POWERTOOLS_SERVICE_NAME": "governor",
    }.items():
        monkeypatch.setenv(name, value)
    aws.client.cache_clear()
    with mock_aws():
        dynamodb, states = (boto3.client(name, region_name="us-east-1") for name in ("dynamodb", "stepfunctions"))
        keys = {"pk": "HASH", "sk": "RANGE"}
        dynamodb.create_table(
            TableName="registry",
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
            BillingMode="PAY_PER_REQUEST",
        )
        role = "arn:aws:iam::123456789012:role/any"
        arn = states.create_state_machine(name="train", definition=MACHINE, roleArn=role)["stateMachineArn"]
        monkeypatch.setenv("REGISTRY_TABLE", "registry")
        monkeypatch.setenv("TRAIN_MACHINE_ARN", arn)
        yield states, arn
    aws.client.cache_clear()


def load_handler() -> Any:
    spec = importlib.util.spec_from_file_location("governor_handler_under_test", HANDLER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler


def test_an_alarm_starts_one_training_however_often_it_is_delivered(deployed: Any) -> None:
    states, arn = deployed
    handler = load_handler()
    first = handler(alarm(), Context())
    assert first["retrain"] is True
    assert handler(alarm(), Context("lambda-2")) == first
    assert load_handler()(alarm(), Context("lambda-3")) == first
    executions = states.list_executions(stateMachineArn=arn)["executions"]
    assert [execution["name"] for execution in executions] == [first["run_id"]]
    described = states.describe_execution(executionArn=executions[0]["executionArn"])
    assert json.loads(described["input"]) == {"project": "flights", "reason": "harm", "requested_by": "governor"}


def test_a_second_alarm_while_it_trains_is_refused_with_its_reason(deployed: Any) -> None:
    handler = load_handler()
    first = handler(alarm(), Context())
    second = handler({**alarm(), "id": "another"}, Context("lambda-2"))
    assert second["retrain"] is False
    assert f"a training is running: {first['run_id']}" in second["reasons"]
