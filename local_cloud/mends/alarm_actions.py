"""Publish an alarm's change of state and run its actions.

Restores the behaviour of the AWS documentation pages "Alarm events and EventBridge", "Invoke a Lambda function from an
alarm" and "Notifying users on alarm changes". Without this mend the emulator publishes no EventBridge event.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from local_cloud.mends.patching import core, service

logger = logging.getLogger("local_cloud.alarms")

#: By alarm ARN: the last announced state, in the form of EventBridge's ``previousState``.
_announced: dict[str, dict[str, str]] = {}


def timestamp(seconds: float) -> str:
    """Format a time as CloudWatch does in events and notifications."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def announce(alarm: dict[str, Any], old_state: str, new_state: str, reason: str) -> None:
    """Run the actions of the new state and publish the EventBridge event, whoever changed the state."""
    state = {"value": new_state, "reason": reason, "timestamp": timestamp(time.time())}
    if alarm.get("StateReasonData"):
        state["reasonData"] = alarm["StateReasonData"]
    arn = alarm["AlarmArn"]
    previous = _announced.get(arn, {})
    if previous.get("value") != old_state:
        created = float(alarm.get("AlarmConfigurationUpdatedTimestamp") or time.time())
        previous = {"value": old_state, "reason": "Unchecked: Initial alarm creation", "timestamp": timestamp(created)}
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
