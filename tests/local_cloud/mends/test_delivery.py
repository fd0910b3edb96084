"""Asynchronous invocation as AWS documents it: retries, dead-letter queues, destinations, durability."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.local_cloud.conftest import ROLE, eventually
from tests.local_cloud.mends.conftest import Emulator, Queue, Recorder

Clients = Callable[[str], Any]


def test_a_failing_event_is_attempted_three_times_and_recorded_at_the_failure_destination(
    client: Clients, recorder: Callable[..., Recorder], queue: Callable[[], Queue]
) -> None:
    """Lambda documentation: "How Lambda handles errors and retries", "Capturing records of … asynchronous invocations"."""
    failures, successes = queue(), queue()
    function = recorder()
    client("lambda").put_function_event_invoke_config(
        FunctionName=function.name,
        DestinationConfig={"OnFailure": {"Destination": failures.arn}, "OnSuccess": {"Destination": successes.arn}},
    )
    assert function.invoke({"fail": True}, InvocationType="Event")["StatusCode"] == 202

    (message,) = eventually(failures.receive)
    record = json.loads(message["Body"])
    assert record["version"] == "1.0"
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["requestContext"]["functionArn"] == f"{function.arn}:$LATEST"
    assert record["requestPayload"] == {"fail": True}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorMessage"] == "told to fail"
    assert len(function.events()) == 3
    assert successes.receive() == []


def test_a_successful_event_reaches_the_success_destination(
    client: Clients, recorder: Callable[..., Recorder], queue: Callable[[], Queue]
) -> None:
    """Lambda documentation: "Capturing records of Lambda asynchronous invocations"."""
    successes = queue()
    function = recorder()
    client("lambda").put_function_event_invoke_config(
        FunctionName=function.name, DestinationConfig={"OnSuccess": {"Destination": successes.arn}}
    )
    function.invoke({"n": 1}, InvocationType="Event")

    (message,) = eventually(successes.receive)
    record = json.loads(message["Body"])
    assert record["requestContext"]["condition"] == "Success"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responsePayload"] == {"seen": True}
    assert "functionError" not in record["responseContext"]


def test_a_dead_letter_queue_gets_the_event_and_the_reason_as_attributes(
    client: Clients, recorder: Callable[..., Recorder], queue: Callable[[], Queue]
) -> None:
    """Lambda documentation: "Adding a dead-letter queue"; MaximumRetryAttempts 0 means one attempt."""
    dead = queue()
    function = recorder(DeadLetterConfig={"TargetArn": dead.arn})
    client("lambda").put_function_event_invoke_config(FunctionName=function.name, MaximumRetryAttempts=0)
    function.invoke({"fail": True}, InvocationType="Event")

    (message,) = eventually(dead.receive)
    assert json.loads(message["Body"]) == {"fail": True}
    attributes = message["MessageAttributes"]
    assert attributes["ErrorMessage"]["StringValue"] == "told to fail"
    assert attributes["ErrorCode"]["StringValue"] == "200"
    assert set(attributes) == {"RequestID", "ErrorCode", "ErrorMessage"}
    assert len(function.events()) == 1


def _called_more_often_than(times: int, function: Recorder) -> bool:
    return len(function.events()) > times


def test_destinations_may_be_a_function_a_topic_or_an_event_bus(
    client: Clients, recorder: Callable[..., Recorder], queue: Callable[[], Queue]
) -> None:
    """Lambda documentation: "Capturing records of Lambda asynchronous invocations", supported destinations."""
    downstream, from_topic, from_bus = recorder(), queue(), queue()
    topic = client("sns").create_topic(Name=f"topic-{uuid.uuid4().hex[:8]}")["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=from_topic.arn)
    rule = f"rule-{uuid.uuid4().hex[:8]}"
    function = recorder()
    client("events").put_rule(
        Name=rule, EventPattern=json.dumps({"source": ["lambda"], "detail": {"requestPayload": {"to": [function.name]}}})
    )
    client("events").put_targets(Rule=rule, Targets=[{"Id": "q", "Arn": from_bus.arn}])
    bus = "arn:aws:events:us-east-1:000000000000:event-bus/default"
    for destination in (downstream.arn, topic, bus):
        client("lambda").put_function_event_invoke_config(
            FunctionName=function.name, DestinationConfig={"OnSuccess": {"Destination": destination}}
        )
        done = len(function.events())
        function.invoke({"to": function.name}, InvocationType="Event")
        eventually(partial(_called_more_often_than, done, function))
        if destination == downstream.arn:
            (record,) = eventually(downstream.events)
            assert record["requestPayload"] == {"to": function.name}
        elif destination == topic:
            (message,) = eventually(from_topic.receive)
            assert json.loads(json.loads(message["Body"])["Message"])["requestContext"]["condition"] == "Success"
        else:
            (message,) = eventually(from_bus.receive)
            assert json.loads(message["Body"])["detail-type"] == "Lambda Function Invocation Result - Success"


def test_events_of_rules_and_topics_are_retried(
    client: Clients, recorder: Callable[..., Recorder], queue: Callable[[], Queue]
) -> None:
    """EventBridge and SNS invoke Lambda asynchronously, so its retries and destinations apply."""
    failures = queue()
    function = recorder(fail_first=99)
    client("lambda").put_function_event_invoke_config(
        FunctionName=function.name,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": failures.arn}},
    )
    source = f"test.{uuid.uuid4().hex[:8]}"
    client("events").put_rule(Name=source, EventPattern=json.dumps({"source": [source]}))
    client("events").put_targets(Rule=source, Targets=[{"Id": "f", "Arn": function.arn}])
    topic = client("sns").create_topic(Name=f"topic-{uuid.uuid4().hex[:8]}")["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function.arn)
    client("events").put_events(Entries=[{"Source": source, "DetailType": "t", "Detail": "{}"}])
    client("sns").publish(TopicArn=topic, Message="hello")

    eventually(lambda: len(failures.receive()) == 2)
    payloads = [json.loads(message["Body"])["requestPayload"] for message in failures.messages]
    assert sorted("Records" in payload for payload in payloads) == [False, True]
    assert len(function.events()) == 4


def test_an_event_for_a_missing_target_goes_to_the_targets_dead_letter_queue(client: Clients, queue: Callable[[], Queue]) -> None:
    """EventBridge documentation: "Using dead-letter queues to process undelivered events"."""
    dead = queue()
    source = f"test.{uuid.uuid4().hex[:8]}"
    gone = "arn:aws:states:us-east-1:000000000000:stateMachine:gone"
    client("events").put_rule(Name=source, EventPattern=json.dumps({"source": [source]}))
    client("events").put_targets(
        Rule=source, Targets=[{"Id": "m", "Arn": gone, "RoleArn": ROLE, "DeadLetterConfig": {"Arn": dead.arn}}]
    )
    client("events").put_events(Entries=[{"Source": source, "DetailType": "t", "Detail": '{"n": 1}'}])

    (message,) = eventually(dead.receive)
    assert json.loads(message["Body"])["detail"] == {"n": 1}
    assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"] == gone


def test_a_throttled_event_waits_and_is_not_counted_as_failed(client: Clients, recorder: Callable[..., Recorder]) -> None:
    """Lambda documentation: throttled asynchronous events go back to the queue for up to six hours."""
    function = recorder()
    client("lambda").put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    function.invoke({"n": 1}, InvocationType="Event")
    with pytest.raises(client("lambda").exceptions.TooManyRequestsException):
        function.invoke({})
    client("lambda").delete_function_concurrency(FunctionName=function.name)
    assert eventually(function.events) == [{"n": 1}]


def test_accepted_events_survive_a_killed_emulator(tmp_path: Path) -> None:
    """Lambda stores an asynchronous event before it returns 202, so no accepted event may be lost."""
    emulator = Emulator(tmp_path)
    emulator.start()
    try:
        functions = emulator.client("lambda")
        function = Recorder(functions, tmp_path)
        functions.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
        for n in range(5):
            function.invoke({"n": n}, InvocationType="Event")
        emulator.kill()
        assert function.events() == []
        emulator.start()
        function.ensure_deployed()
        functions.delete_function_concurrency(FunctionName=function.name)
        eventually(lambda: {event["n"] for event in function.events()} == set(range(5)))
    finally:
        emulator.kill()
