"""A Step Functions that answers from a script, in the shapes of AWS: moto runs no executions of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import ClientError

PAGE = 100
START = datetime(2026, 1, 1, tzinfo=UTC)
ARNS = {name: f"arn:aws:states:us-east-1:123456789012:stateMachine:{name}" for name in ("train_and_deploy", "ingest", "monitor")}


class ExecutionDoesNotExist(ClientError):
    """As botocore generates it."""


class ExecutionAlreadyExists(ClientError):
    """As botocore generates it."""


class Exceptions:
    ExecutionDoesNotExist = ExecutionDoesNotExist
    ExecutionAlreadyExists = ExecutionAlreadyExists


class Pages:
    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [self.answer]


class StepFunctions:
    """Executions by name; those started here end as ``outcomes`` says, in order."""

    exceptions = Exceptions()

    def __init__(self) -> None:
        self.executions: dict[str, dict[str, Any]] = {}
        self.histories: dict[str, list[dict[str, Any]]] = {}
        self.started: list[str] = []
        self.outcomes: list[dict[str, Any]] = []
        # What was asked, by operation; listings count by the page.
        self.asked: Counter[str] = Counter()

    def add(self, machine: str, name: str, status: str, **more: Any) -> str:
        arn = f"{ARNS[machine].replace(':stateMachine:', ':execution:')}:{name}"
        facts = {"executionArn": arn, "stateMachineArn": ARNS[machine], "name": name, "status": status, "input": "{}"}
        when = {"startDate": START + timedelta(seconds=len(self.executions)), "stopDate": START + timedelta(minutes=1)}
        self.executions[arn] = {**facts, **when, **more}
        return arn

    def start_execution(self, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:
        arn = f"{stateMachineArn.replace(':stateMachine:', ':execution:')}:{name}"
        if arn in self.executions:
            raise ExecutionAlreadyExists({"Error": {"Code": "ExecutionAlreadyExists"}}, "StartExecution")
        self.started.append(name)
        outcome = self.outcomes.pop(0) if self.outcomes else {"status": "SUCCEEDED", "output": "{}"}
        self.add(stateMachineArn.rsplit(":", 1)[-1], name, input=input, **outcome)
        return {"executionArn": arn}

    def describe_execution(self, executionArn: str) -> dict[str, Any]:
        self.asked["describe"] += 1
        if executionArn not in self.executions:
            raise ExecutionDoesNotExist({"Error": {"Code": "ExecutionDoesNotExist"}}, "DescribeExecution")
        return self.executions[executionArn]

    def get_paginator(self, operation: str) -> Any:
        if operation == "list_executions":
            return Listing(self)
        return Histories(self)


class Listing:
    def __init__(self, client: StepFunctions) -> None:
        self.client = client

    def paginate(self, stateMachineArn: str) -> Iterator[dict[str, Any]]:
        found = [facts for facts in self.client.executions.values() if facts["stateMachineArn"] == stateMachineArn]
        found.sort(key=lambda facts: facts["startDate"], reverse=True)
        for first in range(0, max(len(found), 1), PAGE):
            self.client.asked["list"] += 1
            yield {"executions": found[first : first + PAGE]}


class Histories:
    def __init__(self, client: StepFunctions) -> None:
        self.client = client

    def paginate(self, executionArn: str) -> list[dict[str, Any]]:
        return [{"events": self.client.histories.get(executionArn, [])}]


def event(second: float, kind: str, **details: Any) -> dict[str, Any]:
    """One history event in the shape of AWS."""
    found: dict[str, Any] = {"id": 1, "type": kind, "timestamp": START + timedelta(seconds=second)}
    if kind.endswith("StateEntered"):
        found["stateEnteredEventDetails"] = details
    elif kind.endswith("StateExited"):
        found["stateExitedEventDetails"] = details
    elif details:
        found[f"{kind[0].lower()}{kind[1:]}EventDetails"] = details
    return found


def create_stage(session: boto3.Session) -> None:
    """The parameters, buckets and registry table of a stage ``dev``, on moto."""
    s3 = session.client("s3")
    for name in ("landing", "lake", "artifacts"):
        s3.create_bucket(Bucket=f"{name}-bucket")
        s3.put_bucket_versioning(Bucket=f"{name}-bucket", VersioningConfiguration={"Status": "Enabled"})
    session.client("dynamodb").create_table(
        TableName="registry",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
    )
    published = {
        "projects": "flights",
        "commit": "abc",
        "tables/registry": "registry",
        "api/url": "https://a1b2.execute-api.us-east-1.amazonaws.com/prod/",
        **{f"buckets/{name}": f"{name}-bucket" for name in ("landing", "lake", "artifacts")},
        **{f"machines/{name}": arn for name, arn in ARNS.items()},
    }
    parameters = session.client("ssm")
    for name, value in published.items():
        parameters.put_parameter(Name=f"/driftless/dev/{name}", Value=value, Type="String")
