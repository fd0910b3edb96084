"""The collector's two ways in: a log subscription's event, and messages about events that failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from driftless.entrypoint import collector
from driftless.serving.collector import Collect
from driftless.testing.memory import MemoryStore
from tests.unit.serving.test_collector import PROJECTS, batch, line

CONTEXT = SimpleNamespace(
    aws_request_id="r", function_name="f", memory_limit_in_mb=128, invoked_function_arn="arn", function_version="1"
)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
    store = MemoryStore()
    monkeypatch.setattr(collector, "compose", lambda: Collect(lake=store, projects=PROJECTS))
    return store


@pytest.fixture
def handler(store: MemoryStore) -> Callable[[dict[str, Any], Any], Any]:
    return collector.collector_handler()


def message(number: int, body: Any) -> dict[str, Any]:
    return {
        "messageId": f"m{number}",
        "receiptHandle": "handle",
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue",
        "awsRegion": "us-east-1",
    }


def failure_of(*lines: Any) -> dict[str, Any]:
    """Lambda's record of an asynchronous invocation that failed."""
    return {
        "version": "1.0",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "requestContext": {
            "requestId": "1",
            "functionArn": "arn:live",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": batch(*lines).model_dump(mode="json"),
        "responseContext": {"statusCode": 200, "executedVersion": "1", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "StoreUnavailable"},
    }


def predictions(store: MemoryStore) -> list[str]:
    return store.list("predictions/demo/")


def test_a_batch_is_received_from_the_log(handler: Callable[..., Any], store: MemoryStore) -> None:
    result = handler(batch(line(1), line(2)).model_dump(mode="json"), CONTEXT)
    assert (result["predictions"], len(predictions(store))) == (2, 1)


def test_a_failed_batch_is_received_from_the_queue(handler: Callable[..., Any], store: MemoryStore) -> None:
    result = handler({"Records": [message(1, failure_of(line(1))), message(2, failure_of(line(2)))]}, CONTEXT)
    assert result == {"batchItemFailures": []}
    assert len(predictions(store)) == 2


@pytest.mark.parametrize("bad", ["not json", {"requestContext": {}}, ["a list"], {"requestPayload": {"other": 1}}])
def test_a_message_that_fails_fails_alone(handler: Callable[..., Any], store: MemoryStore, bad: Any) -> None:
    result = handler({"Records": [message(1, bad), message(2, failure_of(line(2)))]}, CONTEXT)
    assert result == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert len(predictions(store)) == 1


@pytest.mark.usefixtures("store")
def test_a_batch_of_which_nothing_succeeds_is_an_error_of_the_function(handler: Callable[..., Any]) -> None:
    with pytest.raises(BatchProcessingError, match="is no record of a failed invocation"):
        handler({"Records": [message(1, "{}")]}, CONTEXT)
