"""CloudWatch metric alarms as AWS evaluates them, and what follows when one changes state.

Restores the behaviour of the AWS documentation pages "Alarm evaluation", "Configuring how CloudWatch alarms treat
missing data", "Alarm events and EventBridge", "Invoke a Lambda function from an alarm" and "Notifying users on alarm
changes". Without this mend the emulator mixes the metrics of all dimensions, ignores periods, datapoints to alarm and
missing data, looks at alarms only when a metric arrives, and tells EventBridge nothing.

An alarm is looked at when metric data arrive and once a second, so missing data count as well. States and
their history are saved soon after a change, datapoints every few seconds: after a kill an alarm goes on from there.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from local_cloud.mends import ticking
from local_cloud.mends.alarm_rules import AlarmRule, Decision, decide, oldest, window
from local_cloud.mends.patching import core, replace, require, service

logger = logging.getLogger("local_cloud.alarms")

TARGETS = (
    "ministack.services.cloudwatch._evaluate_alarm",
    "ministack.services.cloudwatch._evaluate_all_alarms",
    "ministack.services.cloudwatch._dispatch_alarm_actions",
    "ministack.services.cloudwatch._evict_old_metrics",
)

TICK_SECONDS = 1.0
_LATE_POINTS = 5000
"""Old datapoints in a row after which no newer one is expected before them: five full calls of PutMetricData."""

_lock = threading.RLock()
#: By alarm ARN: the state last announced, as EventBridge shows it under ``previousState``.
_announced: dict[str, dict[str, str]] = {}


def _rule(alarm: dict[str, Any]) -> AlarmRule:
    evaluation_periods = int(alarm.get("EvaluationPeriods") or 1)
    return AlarmRule(
        comparison=alarm["ComparisonOperator"],
        threshold=float(alarm.get("Threshold") or 0),
        period=int(alarm.get("Period") or 60),
        evaluation_periods=evaluation_periods,
        datapoints_to_alarm=int(alarm.get("DatapointsToAlarm") or evaluation_periods),
        missing=alarm.get("TreatMissingData") or "missing",
    )


def _points_by_period(alarm: dict[str, Any], period: int, since: float) -> dict[int, list[dict[str, Any]]]:
    """The alarm's own datapoints since a time — namespace, name, exact dimensions, unit — grouped by aligned period.

    Datapoints lie in the order of their arrival. They are read from the newest back, until more old ones lie in a row than a few
    calls with late ones may have brought: an alarm costs what its range holds, not what two weeks hold.
    """
    cloudwatch = service("cloudwatch")
    dimensions = cloudwatch._dims_from_list(alarm.get("Dimensions") or [])
    points = cloudwatch._metrics.get((alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))) or []
    grouped: dict[int, list[dict[str, Any]]] = {}
    too_old = 0
    for point in reversed(points):
        if point["Timestamp"] < since:
            too_old += 1
            if too_old > _LATE_POINTS:
                break
            continue
        too_old = 0
        if not alarm.get("Unit") or point.get("Unit") == alarm["Unit"]:
            grouped.setdefault(int(point["Timestamp"] // period) * period, []).append(point)
    return {start: found[::-1] for start, found in grouped.items()}


def _evaluate_alarm(alarm: dict[str, Any]) -> None:
    """Evaluate one alarm of the current account and region, and carry out a change of state."""
    if not alarm.get("Namespace") or not alarm.get("MetricName"):
        return
    cloudwatch = service("cloudwatch")
    rule = _rule(alarm)
    with _lock:
        now = time.time()
        grouped = _points_by_period(alarm, rule.period, oldest(rule, now))
        periods = window(rule, now, grouped.__contains__)
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
        values: dict[int, float] = {}
        for start in periods:
            if start in grouped:
                value = cloudwatch._stat_value(cloudwatch._calc_stats(grouped[start]), statistic, grouped[start])
                if value is not None:
                    values[start] = float(value)
        decision = decide(rule, periods, values)
        if decision is None or decision.state == alarm["StateValue"]:
            return
        _change_state(alarm, decision, _reason_data(rule, statistic, periods, decision))


def _evaluate_all_alarms() -> None:
    """Evaluate the alarms of the current account and region."""
    for alarm in list(service("cloudwatch")._alarms.values()):
        try:
            _evaluate_alarm(alarm)
        except Exception:
            logger.exception("alarm %s could not be evaluated", alarm.get("AlarmName"))


def _stamp(seconds: float) -> str:
    """Format a time as CloudWatch does in events and notifications."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def _reason_data(rule: AlarmRule, statistic: str, periods: list[int], decision: Decision) -> str:
    document: dict[str, Any] = {
        "version": "1.0",
        "queryDate": _stamp(time.time()),
        "statistic": statistic,
        "period": rule.period,
        "recentDatapoints": [value for _, value in reversed(decision.datapoints)],
        "threshold": rule.threshold,
        "evaluatedDatapoints": [
            {"timestamp": _stamp(start), **({"value": value} if value is not None else {})}
            for start, value in ((start, dict(decision.datapoints).get(start)) for start in periods[: rule.evaluation_periods])
        ],
    }
    if decision.datapoints:
        document["startDate"] = _stamp(decision.datapoints[-1][0])
    return json.dumps(document)


def _change_state(alarm: dict[str, Any], decision: Decision, reason_data: str) -> None:
    cloudwatch = service("cloudwatch")
    old_state = alarm["StateValue"]
    now = int(time.time())
    alarm["StateValue"] = decision.state
    alarm["StateReason"] = decision.reason
    alarm["StateReasonData"] = reason_data
    alarm["StateUpdatedTimestamp"] = now
    alarm["StateTransitionedTimestamp"] = now
    cloudwatch._record_history(
        alarm["AlarmName"], old_state, decision.state, decision.reason, "MetricAlarm", json.loads(reason_data)
    )
    cloudwatch._dispatch_alarm_actions(alarm, old_state, decision.state, decision.reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _announce(alarm: dict[str, Any], old_state: str, new_state: str, reason: str) -> None:
    """Run the actions of the new state and publish the EventBridge event, whoever changed the state."""
    state = {"value": new_state, "reason": reason, "timestamp": _stamp(time.time())}
    if alarm.get("StateReasonData"):
        state["reasonData"] = alarm["StateReasonData"]
    arn = alarm["AlarmArn"]
    previous = _announced.get(arn, {})
    if previous.get("value") != old_state:
        created = float(alarm.get("AlarmConfigurationUpdatedTimestamp") or time.time())
        previous = {"value": old_state, "reason": "Unchecked: Initial alarm creation", "timestamp": _stamp(created)}
    _announced[arn] = state
    data = {
        "alarmName": alarm["AlarmName"],
        "state": state,
        "previousState": previous,
        "configuration": _configuration(alarm),
    }
    _publish_event(arn, data)
    if not alarm.get("ActionsEnabled", True):
        return
    field = {"ALARM": "AlarmActions", "OK": "OKActions"}.get(new_state, "InsufficientDataActions")
    for action in alarm.get(field) or []:
        _run_action(action, alarm, data)


def _configuration(alarm: dict[str, Any]) -> dict[str, Any]:
    configuration: dict[str, Any] = {"description": alarm.get("AlarmDescription") or ""}
    if alarm.get("AlarmRule"):
        return {**configuration, "alarmRule": alarm["AlarmRule"]}
    metric = {
        "namespace": alarm.get("Namespace"),
        "name": alarm.get("MetricName"),
        "dimensions": {each["Name"]: each["Value"] for each in alarm.get("Dimensions") or []},
    }
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    configuration["metrics"] = [
        {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, alarm["AlarmArn"])),
            "metricStat": {"metric": metric, "period": alarm.get("Period"), "stat": statistic},
            "returnData": True,
        }
    ]
    return configuration


def _publish_event(arn: str, detail: dict[str, Any]) -> None:
    entry = {
        "Source": "aws.cloudwatch",
        "DetailType": "CloudWatch Alarm State Change",
        "Resources": [arn],
        "Detail": json.dumps(detail),
    }
    service("eventbridge")._put_events({"Entries": [entry]}, allow_aws_source=True)


def _run_action(action: str, alarm: dict[str, Any], data: dict[str, Any]) -> None:
    """Carry out one action and write it into the alarm's history."""
    responses = core("responses")
    kind = action.split(":")[2] if action.count(":") >= 5 else ""
    if kind == "sns":
        subject = f'{data["state"]["value"]}: "{alarm["AlarmName"]}" in {responses.get_region()}'[:100]
        message = json.dumps(_notification(alarm, data))
        service("sns")._fanout(action, str(uuid.uuid4()), message, subject)
    elif kind == "lambda":
        event = {
            "source": "aws.cloudwatch",
            "alarmArn": alarm["AlarmArn"],
            "accountId": responses.get_account_id(),
            "time": data["state"]["timestamp"],
            "region": responses.get_region(),
            "alarmData": data,
        }
        service("lambda_svc").invoke_async_with_retry({"config": {"FunctionArn": action}}, event)
    else:
        logger.warning("alarm %s: action %s is not emulated", alarm["AlarmName"], action)
        return
    service("cloudwatch")._history_entries().append(
        {
            "AlarmName": alarm["AlarmName"],
            "AlarmType": "CompositeAlarm" if alarm.get("AlarmRule") else "MetricAlarm",
            "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "HistoryItemType": "Action",
            "HistorySummary": f"Successfully executed action {action}",
            "HistoryData": json.dumps({"actionState": "Succeeded", "notificationResource": action}),
        }
    )


def _notification(alarm: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Build the message a topic's subscribers get."""
    responses = core("responses")
    trigger = {
        name: alarm.get(name)
        for name in ("MetricName", "Namespace", "Statistic", "Unit", "Period", "EvaluationPeriods", "DatapointsToAlarm",
                     "ComparisonOperator", "Threshold", "TreatMissingData")
    }  # fmt: skip
    trigger["StatisticType"] = "ExtendedStatistic" if alarm.get("ExtendedStatistic") else "Statistic"
    trigger["Dimensions"] = [{"name": each["Name"], "value": each["Value"]} for each in alarm.get("Dimensions") or []]
    return {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": responses.get_account_id(),
        "NewStateValue": data["state"]["value"],
        "NewStateReason": data["state"]["reason"],
        "StateChangeTime": data["state"]["timestamp"],
        "Region": responses.get_region(),
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": data["previousState"]["value"],
        "OKActions": alarm.get("OKActions") or [],
        "AlarmActions": alarm.get("AlarmActions") or [],
        "InsufficientDataActions": alarm.get("InsufficientDataActions") or [],
        "Trigger": trigger,
    }


def _evict_old_metrics() -> None:
    """Drop datapoints past their retention without losing one that another thread adds meanwhile."""
    cloudwatch = service("cloudwatch")
    cutoff = time.time() - cloudwatch.TWO_WEEKS_SECONDS
    for key, points in list(cloudwatch._metrics.items()):
        stale = [point for point in points if point["Timestamp"] < cutoff]
        for point in stale:
            points.remove(point)
        if stale and not points:
            del cloudwatch._metrics[key]


def _tick() -> None:
    """Evaluate every alarm there is."""
    cloudwatch, responses = service("cloudwatch"), core("responses")
    for account, region in {(account, region) for account, region, _ in list(cloudwatch._alarms._data)}:
        with responses.request_scope(account, region):
            _evaluate_all_alarms()


def apply() -> None:
    """Evaluate alarms by AWS's rules, on every PutMetricData and once a second."""
    require(TARGETS)
    name = "ministack.services.cloudwatch"
    replace(f"{name}._evaluate_alarm", _evaluate_alarm)
    replace(f"{name}._evaluate_all_alarms", _evaluate_all_alarms)
    replace(f"{name}._dispatch_alarm_actions", _announce)
    replace(f"{name}._evict_old_metrics", _evict_old_metrics)
    ticking.every(TICK_SECONDS, _tick, name="alarms")
