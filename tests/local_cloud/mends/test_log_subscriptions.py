"""CloudWatch Logs subscription filters as AWS documents them: patterns, batches, order, retries, survival."""

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

from local_cloud.mends.filter_patterns import InvalidFilterPattern, compile_pattern
from tests.local_cloud.mends.conftest import Emulator, Queue, Recorder, eventually

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


def test_events_of_a_stream_are_batched_and_streams_stay_apart(client: Clients, recorder: Callable[..., Recorder]) -> None:
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
    """What a handler prints is a log event; a subscriber that keeps failing gives its batch to OnFailure."""
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


def test_a_subscriber_killed_in_the_middle_gets_the_batch_again(client: Clients, recorder: Callable[..., Recorder]) -> None:
    """Delivery is at least once: a process that dies with a batch in hand has not taken it."""
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
    """CloudWatch Logs keeps matched events until they are handed over."""
    emulator = Emulator(tmp_path)
    emulator.start()
    try:
        function = Recorder(emulator.client("lambda"), tmp_path)
        logs = emulator.client("logs")
        group = subscribe(logs, function, "{ $.n >= 0 }")
        logs.create_log_stream(logGroupName=group, logStreamName="a")
        put(logs, group, "a", [json.dumps({"n": n}) for n in range(10)])
        emulator.kill()
        emulator.start()
        function.ensure_deployed()
        (event, *_) = eventually(function.events)
        assert [json.loads(line["message"])["n"] for line in unpack(event)["logEvents"]] == list(range(10))
    finally:
        emulator.kill()


def test_a_malformed_pattern_is_refused_and_searches_use_the_same_grammar(
    client: Clients, recorder: Callable[..., Recorder]
) -> None:
    """PutSubscriptionFilter and FilterLogEvents answer InvalidParameterException to a pattern they cannot read."""
    logs, function = client("logs"), recorder()
    group = subscribe(logs, function, "nothing like it")
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.put_subscription_filter(
            logGroupName=group, filterName="bad", filterPattern="{ $.kind = }", destinationArn=function.arn
        )
    logs.create_log_stream(logGroupName=group, logStreamName="a")
    put(logs, group, "a", ['{"n": 1}', '{"n": 2}', "ERROR one", "error two"])

    def found(pattern: str) -> list[str]:
        return [event["message"] for event in logs.filter_log_events(logGroupName=group, filterPattern=pattern)["events"]]

    assert found("{ $.n = 2 }") == ['{"n": 2}']
    assert found("ERROR") == ["ERROR one"]


DOCUMENT = '{"kind": "prediction", "n": 3, "deep": {"list": [10, {"x": "y"}]}, "on": true, "none": null, "dotted.key": "v"}'


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.kind = "prediction" }', True),
        ("{ $.kind = prediction }", True),
        ('{ $.kind = "pred*" }', True),
        ('{ $.kind = "pred" }', False),
        ('{ $.kind != "prediction" }', False),
        ('{ $.kind = "*ion" && $.n >= 3 }', True),
        ("{ $.n = 3.0 }", True),
        ("{ $.n > 3 || $.n < 0 }", False),
        ('{ ($.n > 3 || $.n = 3) && $.kind != "x" }', True),
        ('{ $.n = "3" }', False),
        ("{ $.n = 3e0 }", True),
        ("{ $.deep.list[0] = 10 }", True),
        ('{ $.deep.list[1].x = "y" }', True),
        ("{ $.deep.list[9] = 10 }", False),
        ("{ $.on IS TRUE }", True),
        ("{ $.on IS FALSE }", False),
        ("{ $.none IS NULL }", True),
        ("{ $.missing IS NULL }", False),
        ("{ $.missing NOT EXISTS }", True),
        ("{ $.kind NOT EXISTS }", False),
        ("{ $.missing != 1 }", False),
        ("{ $.['dotted.key'] = v }", True),
        ("{ $.kind = %^pred% }", True),
        ('prediction "deep"', True),
        ("prediction absent", False),
        ("prediction -absent", True),
        ("prediction -deep", False),
        ("?absent ?prediction", True),
        ("?absent ?gone", False),
        ("%predict[a-z]+%", True),
        ("", True),
    ],
)
def test_filter_pattern_grammar(pattern: str, matches: bool) -> None:
    """CloudWatch Logs documentation: "Filter pattern syntax"."""
    assert compile_pattern(pattern)(DOCUMENT) is matches


@pytest.mark.parametrize("pattern", ["{ $.a = }", "{ a = 1 }", "{ $.a = 1", "{ $.a && $.b }", "{ $.a < text }", "[ip, user]"])
def test_filter_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidFilterPattern):
        compile_pattern(pattern)


def test_a_json_pattern_never_matches_a_line_that_is_no_object() -> None:
    matches = compile_pattern("{ $.n NOT EXISTS }")
    assert [matches(line) for line in ("plain", "[1]", "{broken", "")] == [False] * 4
