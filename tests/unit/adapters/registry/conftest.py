"""Two registries for one contract: the table in memory, and DynamoDB in moto (in process)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from driftless.adapters.dynamodb import DynamoItems
from driftless.adapters.items import Items
from driftless.adapters.registry import TableRegistry
from driftless.testing.memory_registry import MemoryItems


class Ticks:
    """A clock that moves one second at each look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="registry",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


@pytest.fixture(params=["memory", "dynamodb"])
def items(request: pytest.FixtureRequest) -> Items:
    if request.param == "memory":
        return MemoryItems()
    return DynamoItems("registry", client=request.getfixturevalue("dynamodb"))


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def registry(items: Items, ticks: Ticks) -> TableRegistry:
    return TableRegistry(items, clock=ticks, pause=lambda seconds: None)
