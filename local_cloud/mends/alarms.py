"""Evaluate CloudWatch metric alarms by AWS's rules.

Restores the behaviour of the AWS documentation pages "Alarm evaluation" and "Configuring how CloudWatch alarms treat
missing data". Without this mend the emulator mixes the metrics of all dimensions, ignores periods, datapoints to alarm
and missing data, and evaluates alarms only when a metric arrives. Here an alarm is evaluated when metric data arrive and
once a second, so that missing data count too. ``alarm_rules`` decides the state and ``alarm_actions`` runs the actions.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any

from local_cloud.mends import repeating
from local_cloud.mends.alarm_actions import announce, timestamp
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
"""Consecutive old datapoints after which no newer one is expected: five full calls of PutMetricData."""

_lock = threading.RLock()


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
    """Return the datapoints of the alarm's metric since a time, grouped by aligned period.

    The metric is its namespace, name, exact dimensions and unit.


    Datapoints are stored in the order of arrival and read backwards, until more consecutive ones are too old than a few
    calls with late datapoints may have added. So an evaluation reads the alarm's range, not two weeks of datapoints.
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
    """Evaluate one alarm of the current account and region, and change its state if needed."""
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


def _reason_data(rule: AlarmRule, statistic: str, periods: list[int], decision: Decision) -> str:
    document: dict[str, Any] = {
        "version": "1.0",
        "queryDate": timestamp(time.time()),
        "statistic": statistic,
        "period": rule.period,
        "recentDatapoints": [value for _, value in reversed(decision.datapoints)],
        "threshold": rule.threshold,
        "evaluatedDatapoints": [
            {"timestamp": timestamp(start), **({"value": value} if value is not None else {})}
            for start, value in ((start, dict(decision.datapoints).get(start)) for start in periods[: rule.evaluation_periods])
        ],
    }
    if decision.datapoints:
        document["startDate"] = timestamp(decision.datapoints[-1][0])
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


def _evict_old_metrics() -> None:
    """Remove datapoints past their retention without losing one that another thread adds meanwhile."""
    cloudwatch = service("cloudwatch")
    cutoff = time.time() - cloudwatch.TWO_WEEKS_SECONDS
    for key, points in list(cloudwatch._metrics.items()):
        stale = [point for point in points if point["Timestamp"] < cutoff]
        for point in stale:
            points.remove(point)
        if stale and not points:
            del cloudwatch._metrics[key]


def _tick() -> None:
    """Evaluate the alarms of all accounts and regions."""
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
    replace(f"{name}._dispatch_alarm_actions", announce)
    replace(f"{name}._evict_old_metrics", _evict_old_metrics)
    repeating.every(TICK_SECONDS, _tick, name="alarms")
