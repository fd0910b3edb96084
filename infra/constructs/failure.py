"""An alarm on events that should not happen: one within a minute notifies the topic."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from driftless.core.emf import NAMESPACE

MINUTE = Duration.minutes(1)


def counted(name: str, dimensions: dict[str, str]) -> cloudwatch.Metric:
    """How often, minute by minute, a function reported something in the platform's namespace."""
    return cloudwatch.Metric(namespace=NAMESPACE, metric_name=name, dimensions_map=dimensions, statistic="Sum", period=MINUTE)


def alarm_on_any(
    scope: Construct, identifier: str, metric: cloudwatch.IMetric, topic: sns.ITopic, *, description: str
) -> cloudwatch.Alarm:
    """Alarm while a metric is one or more; nothing measured is nothing happened."""
    return alarm_from(scope, identifier, metric, topic, threshold=1, description=description)


def alarm_from(
    scope: Construct,
    identifier: str,
    metric: cloudwatch.IMetric,
    topic: sns.ITopic,
    *,
    threshold: float,
    description: str,
    name: str | None = None,
    missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
) -> cloudwatch.Alarm:
    """Alarm while a metric is at a threshold or above; ``name`` is for an alarm that must be a new one when its cause is."""
    alarm = cloudwatch.Alarm(
        scope,
        identifier,
        metric=metric,
        threshold=threshold,
        evaluation_periods=1,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treat_missing_data=missing,
        alarm_description=description,
        alarm_name=name,
    )
    alarm.add_alarm_action(actions.SnsAction(topic))
    return alarm
