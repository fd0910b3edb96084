"""CloudWatch alarms as AWS evaluates them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from local_cloud.mends import alarms
from local_cloud.mends.alarm_rules import AlarmRule, decide, oldest, window
from tests.local_cloud.conftest import eventually
from tests.local_cloud.mends.conftest import Queue, Recorder

Clients = Callable[[str], Any]

# The tables of "Configuring how CloudWatch alarms treat missing data": oldest datapoint first, X breaches, - is missing.
# Expected states in the order missing, ignore, breaching, notBreaching; None means that the current state is kept.
INSUFFICIENT = "INSUFFICIENT_DATA"
THREE_OF_THREE = [
    ("0-X-X", ("OK", "OK", "OK", "OK")),
    ("----0", ("OK", "OK", "OK", "OK")),
    ("-----", (INSUFFICIENT, None, "ALARM", "OK")),
    ("0XX-X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("--X--", ("ALARM", None, "ALARM", "OK")),
]
TWO_OF_THREE = [
    ("0-X-X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("00X0X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("0-X--", ("OK", "OK", "ALARM", "OK")),
    ("----0", ("OK", "OK", "ALARM", "OK")),
    ("---X-", ("ALARM", None, "ALARM", "OK")),
]


@pytest.mark.parametrize(
    ("needed", "picture", "expected"),
    [(3, *row) for row in THREE_OF_THREE] + [(2, *row) for row in TWO_OF_THREE],
)
def test_missing_data_is_treated_as_the_documentation_tabulates(
    needed: int, picture: str, expected: tuple[str | None, ...]
) -> None:
    """CloudWatch documentation: "Configuring how CloudWatch alarms treat missing data"."""
    periods = [600 - 60 * back for back in range(len(picture))]
    values = {start: 5.0 if mark == "X" else 0.0 for start, mark in zip(periods, reversed(picture), strict=True) if mark != "-"}
    states = []
    for treatment in ("missing", "ignore", "breaching", "notBreaching"):
        rule = AlarmRule("GreaterThanThreshold", 1.0, 60, 3, needed, treatment)
        decision = decide(rule, periods, values)
        states.append(decision and decision.state)
    assert tuple(states) == expected


class Alarm:
    """An alarm on a metric of its own, and what publishes to that metric."""

    def __init__(self, cloudwatch: Any, **settings: Any) -> None:
        self._cloudwatch = cloudwatch
        self.name = f"alarm-{uuid.uuid4().hex[:8]}"
        self.namespace = self.name
        # One minute for the whole test, so that a minute that ends meanwhile does not move datapoints apart.
        self._minute = time.time() // 60
        self.arn = f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{self.name}"
        defaults = {
            "Namespace": self.namespace,
            "MetricName": "Level",
            "Dimensions": [{"Name": "Project", "Value": "flights"}],
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 2.0,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmDescription": '{"project": "flights"}',
        }
        cloudwatch.put_metric_alarm(AlarmName=self.name, **{**defaults, **settings})

    def publish(self, value: float, *, project: str = "flights", periods_ago: int = 0) -> None:
        """Publish one value into the middle of the period so many periods of a minute ago, or now."""
        stamp = time.time() if periods_ago == 0 else (self._minute - periods_ago) * 60 + 30
        self._cloudwatch.put_metric_data(
            Namespace=self.namespace,
            MetricData=[
                {
                    "MetricName": "Level",
                    "Dimensions": [{"Name": "Project", "Value": project}],
                    "Value": value,
                    "Timestamp": stamp,
                }
            ],
        )

    def describe(self) -> dict[str, Any]:
        (alarm,) = self._cloudwatch.describe_alarms(AlarmNames=[self.name])["MetricAlarms"]
        return dict(alarm)

    def state(self) -> str:
        return str(self.describe()["StateValue"])


def test_a_breach_notifies_the_topic_eventbridge_and_a_function(
    client: Clients, queue: Callable[[], Queue], recorder: Callable[..., Recorder]
) -> None:
    """CloudWatch documentation: "Alarm events and EventBridge", "Invoke a Lambda function from an alarm"."""
    notified, evented, function = queue(), queue(), recorder()
    topic = client("sns").create_topic(Name=f"topic-{uuid.uuid4().hex[:8]}")["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=notified.arn)
    alarm = Alarm(client("cloudwatch"), AlarmActions=[topic, function.arn])
    pattern = {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "resources": [alarm.arn],
        "detail": {"state": {"value": ["ALARM"]}},
    }
    client("events").put_rule(Name=alarm.name, EventPattern=json.dumps(pattern))
    client("events").put_targets(Rule=alarm.name, Targets=[{"Id": "q", "Arn": evented.arn}])
    eventually(lambda: alarm.state() == "OK")
    alarm.publish(2.0)

    (message,) = eventually(evented.receive)
    event = json.loads(message["Body"])
    detail = event["detail"]
    assert event["resources"] == [alarm.arn]
    assert detail["alarmName"] == alarm.name
    assert detail["state"]["value"] == "ALARM"
    assert json.loads(detail["state"]["reasonData"])["recentDatapoints"] == [2.0]
    assert detail["previousState"]["value"] == "OK"
    assert detail["configuration"]["description"] == '{"project": "flights"}'
    (metric,) = detail["configuration"]["metrics"]
    assert metric["metricStat"]["stat"] == "Maximum"
    assert metric["metricStat"]["metric"]["dimensions"] == {"Project": "flights"}
    (message,) = eventually(notified.receive)
    notification = json.loads(json.loads(message["Body"])["Message"])
    assert (notification["NewStateValue"], notification["OldStateValue"]) == ("ALARM", "OK")
    assert notification["Trigger"]["Dimensions"] == [{"name": "Project", "value": "flights"}]
    (invocation,) = eventually(function.events)
    assert invocation["alarmArn"] == alarm.arn
    assert invocation["alarmData"]["state"]["value"] == "ALARM"
    assert "threshold (2.0)" in alarm.describe()["StateReason"]


def test_metrics_differ_by_dimensions_and_units(client: Clients) -> None:
    """An alarm watches exactly one combination of dimensions, and of units if it names one."""
    alarm = Alarm(client("cloudwatch"))
    with_unit = Alarm(client("cloudwatch"), Unit="Percent")
    eventually(lambda: alarm.state() == with_unit.state() == "OK")
    alarm.publish(9.0, project="cricket")
    with_unit.publish(9.0)
    alarm.publish(1.0)
    assert alarm.state() == "OK"
    assert with_unit.state() == "OK"


def test_datapoints_to_alarm_count_breaching_periods(client: Clients) -> None:
    """CloudWatch documentation: "Alarm evaluation", M out of N."""
    alarm = Alarm(client("cloudwatch"), EvaluationPeriods=3, DatapointsToAlarm=2)
    eventually(lambda: alarm.state() == "OK")
    alarm.publish(5.0, periods_ago=2)
    alarm.publish(9.0, periods_ago=2)
    assert alarm.state() == "OK"
    alarm.publish(5.0, periods_ago=1)
    assert alarm.state() == "ALARM"


def test_the_statistic_is_taken_per_period(client: Clients) -> None:
    """A sum of 3 spread over two periods never reaches a threshold of 3; in one period it does."""
    alarm = Alarm(client("cloudwatch"), Statistic="Sum", Threshold=3.0)
    eventually(lambda: alarm.state() == "OK")
    alarm.publish(1.0, periods_ago=2)
    alarm.publish(2.0, periods_ago=1)
    assert alarm.state() == "OK"
    alarm.publish(1.0, periods_ago=1)
    assert alarm.state() == "ALARM"


@pytest.mark.parametrize(("treatment", "state"), [("breaching", "ALARM"), ("notBreaching", "OK")])
def test_missing_data_alone_changes_the_state(client: Clients, treatment: str, state: str) -> None:
    """Nothing is ever published; the alarm is evaluated all the same."""
    alarm = Alarm(client("cloudwatch"), TreatMissingData=treatment)
    eventually(lambda: alarm.state() == state)


def test_a_state_set_by_hand_lasts_until_the_next_evaluation(client: Clients) -> None:
    """SetAlarmState documentation: the alarm returns to its actual state quickly."""
    alarm = Alarm(client("cloudwatch"), TreatMissingData="missing")
    alarm.publish(1.0)
    assert alarm.state() == "OK"
    client("cloudwatch").set_alarm_state(AlarmName=alarm.name, StateValue="ALARM", StateReason="by hand")
    eventually(lambda: alarm.state() == "OK")


def test_the_history_has_states_and_actions(client: Clients) -> None:
    """DescribeAlarmHistory lists StateUpdate and Action items."""
    topic = client("sns").create_topic(Name=f"topic-{uuid.uuid4().hex[:8]}")["TopicArn"]
    alarm = Alarm(client("cloudwatch"), AlarmActions=[topic])
    alarm.publish(3.0)
    items = client("cloudwatch").describe_alarm_history(AlarmName=alarm.name)["AlarmHistoryItems"]
    summaries = {item["HistoryItemType"]: item["HistorySummary"] for item in items}
    assert summaries["Action"] == f"Successfully executed action {topic}"
    assert any(item["HistorySummary"].endswith("to ALARM") for item in items)


def test_disabled_actions_do_not_run(client: Clients, recorder: Callable[..., Recorder], queue: Callable[[], Queue]) -> None:
    """ActionsEnabled false stops actions, not the state and not the event."""
    function, evented = recorder(), queue()
    alarm = Alarm(client("cloudwatch"), AlarmActions=[function.arn], ActionsEnabled=False)
    client("events").put_rule(
        Name=alarm.name, EventPattern=json.dumps({"resources": [alarm.arn], "detail": {"state": {"value": ["ALARM"]}}})
    )
    client("events").put_targets(Rule=alarm.name, Targets=[{"Id": "q", "Arn": evented.arn}])
    alarm.publish(3.0)
    assert alarm.state() == "ALARM"
    eventually(evented.receive)
    assert function.events() == []


class Counted(list[dict[str, Any]]):
    """Datapoints that count how many were read, from the newest backwards."""

    looked_at = 0

    def __reversed__(self) -> Iterator[dict[str, Any]]:
        for point in super().__reversed__():
            self.looked_at += 1
            yield point


def test_an_evaluation_reads_the_alarms_range_including_late_datapoints(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    points = Counted({"Timestamp": now - 86_400, "Unit": "None"} for _ in range(200_000))
    points += [{"Timestamp": now, "Unit": "None"}, *({"Timestamp": now - 86_400, "Unit": "None"} for _ in range(1000))]
    cloudwatch = SimpleNamespace(
        _metrics={("n", "m", ()): points}, _dims_from_list=lambda given: {}, _dims_key=lambda dimensions: ()
    )
    monkeypatch.setattr(alarms, "service", lambda name: cloudwatch)
    rule = AlarmRule("GreaterThanThreshold", 1.0, 60, 3, 3, "missing")
    grouped = alarms._points_by_period({"Namespace": "n", "MetricName": "m"}, rule.period, oldest(rule, now))
    assert [len(found) for found in grouped.values()] == [1]
    assert points.looked_at < 10_000


@pytest.mark.parametrize("has_data", [True, False])
def test_no_period_of_the_range_is_before_the_oldest_time(has_data: bool) -> None:
    rule = AlarmRule("GreaterThanThreshold", 1.0, 300, 4, 2, "missing")
    for now in (1_000_000.0, 1_000_199.9, 1_000_200.0):
        assert min(window(rule, now, lambda start: has_data)) >= oldest(rule, now)
