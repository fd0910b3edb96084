"""CloudWatch Logs subscription filters as AWS documents them: batches, order, retries, durability."""

from __future__ import annotations

import base64
import gzip
import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.local_cloud.conftest import eventually
from tests.local_cloud.mends.conftest import Emulator, Queue, Recorder

Clients = Callable[[str], Any]


def unpack(event: Any) -> dict[str, Any]:
    """Return the document in a log subscription's event."""
    document: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    return document


def subscribe(logs: Any, function: Recorder, pattern: str) -> str:
    """Make a log group whose matching events go to the function; return its name."""
    group = f"/test/{uuid.uuid4().hex[:8]}"
    logs.create_log_group(logGroupName=group)
    logs.put_subscription_filter(logGroupName=group, filterName="to-function", filterPattern=pattern, destinationArn=function.arn)
    return group


def put(logs: Any, group: str, stream: str, messages: list[str]) -> None:
    now = int(time.time() * 1000)
    logs.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[{"timestamp": now + n, "message": message} for n, message in enumerate(messages)],
    )


def test_a_json_pattern_delivers_matching_events_in_order_with_stable_ids(
    client: Clients, recorder: Callable[..., Recorder]
) -> None:
    """CloudWatch Logs documentation: "Log group-level subscription filters", "Filter pattern syntax"."""
    logs, function = client("logs"), recorder(fail_first=2)
    group = subscribe(logs, function, '{ $.kind = "prediction" }')
    logs.create_log_stream(logGroupName=group, logStreamName="a")
    put(
        logs,
        group,
        "a",
        ["START", '{"kind": "prediction", "n": 0}', '{"kind": "other"}', '{"kind": "prediction", "n": 1}'],
    )
    eventually(function.events)
    put(logs, group, "a", ['{"kind": "prediction", "n": 2}'])
    eventually(lambda: len(function.events()) == 4)

    documents = [unpack(event) for event in function.events()]
    first, last = documents[0], documents[-1]
    assert {"messageType", "owner", "logGroup", "logStream", "subscriptionFilters", "logEvents"} == set(first)
    assert (first["messageType"], first["owner"]) == ("DATA_MESSAGE", "000000000000")
    assert (first["logGroup"], first["logStream"], first["subscriptionFilters"]) == (group, "a", ["to-function"])
    assert [json.loads(event["message"])["n"] for event in first["logEvents"]] == [0, 1]
    assert [json.loads(event["message"])["n"] for event in last["logEvents"]] == [2]
    assert all(again == first for again in documents[:-1])
    ids = [event["id"] for event in first["logEvents"] + last["logEvents"]]
    assert len(set(ids)) == 3
    assert ids == sorted(ids)


def test_events_are_batched_by_stream(client: Clients, recorder: Callable[..., Recorder]) -> None:
    """CloudWatch Logs documentation: one batch holds events of one log stream."""
    logs, function = client("logs"), recorder()
    group = subscribe(logs, function, "")
    for stream in ("a", "b"):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    for n in range(20):
        put(logs, group, "ab"[n % 2], [f"line {n:02d}"])

    def lines() -> list[tuple[str, str]]:
        documents = [unpack(event) for event in function.events()]
        return [(doc["logStream"], event["message"]) for doc in documents for event in doc["logEvents"]]

    eventually(lambda: len(lines()) == 20)
    for stream in ("a", "b"):
        seen = [line for name, line in lines() if name == stream]
        assert seen == sorted(seen)
    assert len(function.events()) < 20


def test_a_function_log_reaches_its_subscriber_and_failures_reach_the_destination(
    client: Clients, recorder: Callable[..., Recorder], queue: Callable[[], Queue]
) -> None:
    """Output of a handler is a log event; the batch of a subscriber that keeps failing goes to OnFailure."""
    failures = queue()
    source, subscriber = recorder(), recorder(fail_first=99)
    client("lambda").put_function_event_invoke_config(
        FunctionName=subscriber.name,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": failures.arn}},
    )
    client("logs").create_log_group(logGroupName=source.log_group)
    client("logs").put_subscription_filter(
        logGroupName=source.log_group,
        filterName="f",
        filterPattern='{ $.kind = "prediction" }',
        destinationArn=subscriber.arn,
    )
    source.invoke({"print": [{"kind": "prediction", "id": "p1"}, "plain"]})

    (message,) = eventually(failures.receive)
    document = unpack(json.loads(message["Body"])["requestPayload"])
    assert [json.loads(event["message"])["id"] for event in document["logEvents"]] == ["p1"]


def test_a_batch_is_delivered_again_to_a_subscriber_that_was_killed(client: Clients, recorder: Callable[..., Recorder]) -> None:
    """Delivery is at least once: a batch whose subscriber dies during it counts as not delivered."""
    logs = client("logs")
    function = recorder(
        source="""
import json, os, signal
def handler(event, context):
    with open(os.environ["TRACE"], "a") as trace:
        trace.write(json.dumps({"event": event, "pid": os.getpid()}) + "\\n")
    if sum(1 for _ in open(os.environ["TRACE"])) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    group = subscribe(logs, function, "term")
    logs.create_log_stream(logGroupName=group, logStreamName="a")
    put(logs, group, "a", ["a term here", "nothing"])

    eventually(lambda: len(function.records()) == 2)
    first, second = function.records()
    assert first["pid"] != second["pid"] != os.getpid()
    assert unpack(first["event"]) == unpack(second["event"])


def test_log_events_survive_a_killed_emulator(tmp_path: Path) -> None:
    """CloudWatch Logs keeps matched events until they are delivered."""
    emulator = Emulator(tmp_path)
    emulator.start()
    try:
        function = Recorder(emulator.client("lambda"), tmp_path)
        logs = emulator.client("logs")
        group = subscribe(logs, function, '{ $.kind = "prediction" }')
        logs.create_log_stream(logGroupName=group, logStreamName="a")
        put(logs, group, "a", [json.dumps({"kind": "prediction", "n": n}) for n in range(10)])
        emulator.kill()
        emulator.start()
        function.ensure_deployed()
        (event, *_) = eventually(function.events)
        assert [json.loads(line["message"])["n"] for line in unpack(event)["logEvents"]] == list(range(10))
    finally:
        emulator.kill()


def test_an_unsupported_pattern_is_rejected_and_searches_use_the_same_patterns(
    client: Clients, recorder: Callable[..., Recorder]
) -> None:
    """PutSubscriptionFilter and FilterLogEvents return InvalidParameterException for such a pattern."""
    logs, function = client("logs"), recorder()
    group = subscribe(logs, function, '"not in the log"')
    rejected = '{ $.kind = "prediction" && $.n > 1 }'
    with pytest.raises(logs.exceptions.InvalidParameterException, match="does not support compound expressions"):
        logs.put_subscription_filter(
            logGroupName=group, filterName="rejected", filterPattern=rejected, destinationArn=function.arn
        )
    with pytest.raises(logs.exceptions.InvalidParameterException, match="does not support compound expressions"):
        logs.filter_log_events(logGroupName=group, filterPattern=rejected)
    logs.create_log_stream(logGroupName=group, logStreamName="a")
    put(logs, group, "a", ['{"kind": "a"}', '{"kind": "b"}', "ERROR one", "error two"])

    def found(pattern: str) -> list[str]:
        return [event["message"] for event in logs.filter_log_events(logGroupName=group, filterPattern=pattern)["events"]]

    assert found('{ $.kind = "b" }') == ['{"kind": "b"}']
    assert found("ERROR") == ["ERROR one"]
