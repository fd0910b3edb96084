"""Events of acknowledged writes are delivered at least once, even if the server is killed before delivery."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local_cloud.conftest import ROLE, eventually
from tests.local_cloud.mends.conftest import Emulator, Queue, Recorder

#: Every delivery blocks at its start, so accepted events can only be delivered after a restart.
NOTHING_IS_DELIVERED = """
import threading
from ministack.services import eventbridge, lambda_svc, s3, sns, sqs, stepfunctions
def for_ever(original):
    def block(*arguments, **named):
        if threading.current_thread() is not threading.main_thread():
            threading.Event().wait()
        return original(*arguments, **named)
    return block
eventbridge._dispatch_to_lambda = for_ever(eventbridge._dispatch_to_lambda)
lambda_svc._execute_function = for_ever(lambda_svc._execute_function)
stepfunctions._start_execution = for_ever(stepfunctions._start_execution)
sqs._queue_by_arn = for_ever(sqs._queue_by_arn)
sns.publish_internal = for_ever(sns.publish_internal)
"""

#: The server dies after it started a state machine and before it removed the delivery.
NO_DELIVERY_IS_REMOVED = """
import threading
from local_cloud.mends.delivery.undelivered_events import UndeliveredEvents
UndeliveredEvents.remove_delivery = lambda self, number: threading.Event().wait()
"""
PASS = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path)
    yield emulator
    emulator.kill()


class Ingest:
    """A bucket whose new objects start a state machine by a rule, as ours do."""

    def __init__(self, emulator: Emulator, *more_targets: str) -> None:
        self._emulator = emulator
        machines, events, s3 = (emulator.client(name) for name in ("stepfunctions", "events", "s3"))
        self.machine = machines.create_state_machine(name="ingest", definition=PASS, roleArn=ROLE)["stateMachineArn"]
        pattern = {"source": ["aws.s3", "test"]}
        events.put_rule(Name="landed", EventPattern=json.dumps(pattern))
        targets = [{"Id": str(number), "Arn": arn, "RoleArn": ROLE} for number, arn in enumerate([*more_targets, self.machine])]
        events.put_targets(Rule="landed", Targets=targets)
        s3.create_bucket(Bucket="landing")
        s3.put_bucket_notification_configuration(Bucket="landing", NotificationConfiguration={"EventBridgeConfiguration": {}})

    def executions(self) -> list[dict[str, Any]]:
        machines = self._emulator.client("stepfunctions")
        listed = machines.list_executions(stateMachineArn=self.machine)["executions"]
        return [machines.describe_execution(executionArn=each["executionArn"]) for each in listed]

    def ingested(self) -> list[str]:
        """Keys of the objects that executions were started for."""
        return sorted(json.loads(found["input"])["detail"]["object"]["key"] for found in self.executions())


def saved(emulator: Emulator, service: str, text: str) -> None:
    """Wait until a service's snapshot contains a text; it is written shortly after the change."""
    file = emulator.state / "s" / "data" / "services" / f"{service}.json"
    eventually(lambda: file.exists() and text in file.read_text())


def test_the_event_of_an_acknowledged_write_is_delivered_after_a_crash(emulator: Emulator, tmp_path: Path) -> None:
    """S3 documentation: "Amazon S3 event notifications are designed to be delivered at least once"."""
    emulator.start(NOTHING_IS_DELIVERED)
    function = Recorder(emulator.client("lambda"), tmp_path)
    queue = Queue(emulator.client("sqs"))
    topic = emulator.client("sns").create_topic(Name="landed")["TopicArn"]
    told = Queue(emulator.client("sqs"))
    emulator.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=told.arn)
    ingest = Ingest(emulator, queue.arn, topic, function.arn)
    for service, text in {"sqs": told.arn, "sns": told.arn, "lambda": function.name, "stepfunctions": "ingest"}.items():
        saved(emulator, service, text)
    s3 = emulator.client("s3")
    s3.put_object(Bucket="landing", Key="whole.csv", Body=b"a")
    upload = s3.create_multipart_upload(Bucket="landing", Key="parts.csv")["UploadId"]
    part = s3.upload_part(Bucket="landing", Key="parts.csv", UploadId=upload, PartNumber=1, Body=b"a")
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    s3.complete_multipart_upload(Bucket="landing", Key="parts.csv", UploadId=upload, MultipartUpload=parts)
    s3.copy_object(Bucket="landing", Key="copied.csv", CopySource="landing/whole.csv")
    emulator.kill()

    emulator.start()
    keys = ["copied.csv", "parts.csv", "whole.csv"]
    assert eventually(lambda: ingest.ingested() if len(ingest.ingested()) >= 3 else None) == keys
    eventually(lambda: sorted(event["detail"]["object"]["key"] for event in function.events()) == keys)
    eventually(lambda: len(queue.receive()) == 3)
    eventually(lambda: len(told.receive()) == 3)


def test_an_accepted_event_waits_after_a_crash_until_its_target_is_deployed_again(emulator: Emulator) -> None:
    """`up` repeats a deployment that was not yet on disk; events for its resources stay pending until then."""
    emulator.start(NOTHING_IS_DELIVERED)
    ingest = Ingest(emulator)
    detail = json.dumps({"object": {"key": "k"}})
    emulator.client("events").put_events(Entries=[{"Source": "test", "DetailType": "t", "Detail": detail}])
    emulator.kill()
    (emulator.state / "s" / "data" / "services" / "stepfunctions.json").unlink(missing_ok=True)
    (emulator.state / "s" / "data" / "services" / "eventbridge.json").unlink(missing_ok=True)

    emulator.start()
    assert emulator.client("stepfunctions").list_state_machines()["stateMachines"] == []
    Ingest(emulator)
    eventually(lambda: ingest.ingested() == ["k"])


def test_a_repeated_delivery_does_not_start_an_execution_twice(emulator: Emulator) -> None:
    """StartExecution documentation: an execution's name is unique, so a repeated start by the same name starts nothing."""
    emulator.start(NO_DELIVERY_IS_REMOVED)
    ingest = Ingest(emulator)
    emulator.client("s3").put_object(Bucket="landing", Key="one.csv", Body=b"a")
    eventually(lambda: ingest.ingested() == ["one.csv"])
    emulator.kill()

    emulator.start()
    ingest = Ingest(emulator)  # as `up` deploys again
    emulator.client("s3").put_object(Bucket="landing", Key="two.csv", Body=b"a")
    eventually(lambda: "two.csv" in ingest.ingested())  # deliveries are made in their order, so the repetition is over
    assert ingest.ingested() == ["one.csv", "two.csv"]


def test_an_object_can_be_read_when_its_event_is_delivered(emulator: Emulator, tmp_path: Path) -> None:
    """A function can read the object of its event, and gets the event of a deletion too."""
    emulator.start()
    function = Recorder(emulator.client("lambda"), tmp_path)
    Ingest(emulator, function.arn)
    s3 = emulator.client("s3")
    s3.put_object(Bucket="landing", Key="k", Body=b"four")
    s3.delete_object(Bucket="landing", Key="k")
    eventually(lambda: len(function.events()) == 2)
    assert sorted(event["detail-type"] for event in function.events()) == ["Object Created", "Object Deleted"]


def test_an_input_transformer_passes_the_events_id(client: Callable[[str], Any], queue: Callable[[], Queue]) -> None:
    """EventBridge documentation, "Amazon EventBridge input transformation": texts in a JSON template are quoted for you."""
    events, asked = client("events"), queue()
    events.put_rule(Name="asks", EventPattern=json.dumps({"source": ["transformed"]}))
    transformer = {"InputPathsMap": {"id": "$.id"}, "InputTemplate": '{"project":"flights","event_id":<id>}'}
    events.put_targets(Rule="asks", Targets=[{"Id": "0", "Arn": asked.arn, "InputTransformer": transformer}])
    (put,) = events.put_events(Entries=[{"Source": "transformed", "DetailType": "t", "Detail": "{}"}])["Entries"]

    (message,) = eventually(asked.receive)
    assert json.loads(message["Body"]) == {"project": "flights", "event_id": put["EventId"]}
