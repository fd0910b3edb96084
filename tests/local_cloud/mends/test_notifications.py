"""Messages of topics are logged, because a local cloud sends no mail."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local_cloud import lifecycle
from local_cloud.mends.notifications import NotificationLog
from tests.local_cloud.conftest import ROLE, eventually
from tests.local_cloud.mends.conftest import Queue

Clients = Callable[[str], Any]


@pytest.fixture
def topic(client: Clients) -> str:
    return str(client("sns").create_topic(Name=f"topic-{uuid.uuid4().hex[:8]}")["TopicArn"])


def told(cloud: lifecycle.Cloud, topic: str) -> list[dict[str, Any]]:
    assert cloud.log is not None
    log = cloud.log.with_name("notifications.log")
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [line for line in lines if line["topic"] == topic]


def test_a_published_message_is_logged_and_delivered(
    client: Clients, cloud: lifecycle.Cloud, topic: str, queue: Callable[[], Queue]
) -> None:
    inbox = queue()
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn)
    client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="somebody@example.com")
    client("sns").publish(TopicArn=topic, Subject="Rejected", Message="2 rows:\na Zürich, a Łódź")
    [line] = told(cloud, topic)
    assert (line["subject"], line["message"]) == ("Rejected", "2 rows:\na Zürich, a Łódź")
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(line["time"]) < timedelta(minutes=5)
    [message] = eventually(inbox.receive)
    assert json.loads(message["Body"])["Subject"] == "Rejected"


def test_the_log_has_the_email_text_of_a_message_with_one_text_per_protocol(
    client: Clients, cloud: lifecycle.Cloud, topic: str
) -> None:
    """SNS documentation: "Publishing Amazon SNS notifications with platform-specific payloads"."""
    by_protocol = json.dumps({"default": "for all", "email": "for people"})
    client("sns").publish(TopicArn=topic, Message=by_protocol, MessageStructure="json")
    entries = [{"Id": str(number), "Message": f"batched {number}"} for number in range(2)]
    client("sns").publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [line["message"] for line in told(cloud, topic)] == ["for people", "batched 0", "batched 1"]


def test_messages_of_state_machines_and_alarms_are_logged(client: Clients, cloud: lifecycle.Cloud, topic: str) -> None:
    notify = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish",
        "Parameters": {"TopicArn": topic, "Subject": "Training failed", "Message": "why"},
        "End": True,
    }
    definition = json.dumps({"StartAt": "Notify", "States": {"Notify": notify}})
    name = topic.rpartition(":")[2]
    machine = client("stepfunctions").create_state_machine(name=name, definition=definition, roleArn=ROLE)["stateMachineArn"]
    client("stepfunctions").start_execution(stateMachineArn=machine)
    client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace=name,
        MetricName="harm",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.5,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[topic],
    )
    client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="by hand")
    eventually(lambda: len(told(cloud, topic)) == 2)
    assert {line["subject"] for line in told(cloud, topic)} == {"Training failed", f'ALARM: "{name}" in us-east-1'}


def test_a_missing_topic_logs_nothing(client: Clients, cloud: lifecycle.Cloud, topic: str) -> None:
    client("sns").delete_topic(TopicArn=topic)
    with pytest.raises(client("sns").exceptions.NotFoundException):
        client("sns").publish(TopicArn=topic, Message="m")
    assert told(cloud, topic) == []


def test_a_large_log_is_renamed(tmp_path: Path) -> None:
    path = tmp_path / "notifications.log"
    log = NotificationLog(path, max_bytes=300)
    for number in range(20):
        log.append("topic", "subject", str(number))
    kept = [json.loads(line)["message"] for name in (f"{path}.1", path) for line in Path(name).read_text().splitlines()]
    assert kept == [str(number) for number in range(20)][-len(kept) :]
    assert 2 <= len(kept) < 20
    assert sorted(each.name for each in tmp_path.iterdir()) == ["notifications.log", "notifications.log.1"]


def test_a_message_is_delivered_when_the_log_cannot_be_written(
    cloud: lifecycle.Cloud, client: Clients, queue: Callable[[], Queue], topic: str
) -> None:
    assert cloud.log is not None
    log = cloud.log.with_name("notifications.log")
    if log.exists():
        log.replace(log.with_name("moved.log"))
    log.mkdir()
    inbox = queue()
    try:
        client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn)
        client("sns").publish(TopicArn=topic, Message="m")
        assert len(eventually(inbox.receive)) == 1
    finally:
        log.rmdir()
