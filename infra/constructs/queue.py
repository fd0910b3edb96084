"""Where work goes that could not be delivered: a queue whose every message is an incident."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct


class DeadLetterQueue(Construct):
    """An encrypted queue that keeps undeliverable work for 14 days and alarms as soon as it holds any.

    Attributes
    ----------
    queue : sqs.Queue
    """

    def __init__(self, scope: Construct, identifier: str, *, alarm_topic: sns.ITopic) -> None:
        super().__init__(scope, identifier)
        self.queue = sqs.Queue(
            self, "Queue", encryption=sqs.QueueEncryption.SQS_MANAGED, enforce_ssl=True, retention_period=Duration.days(14)
        )
        depth_alarm(self, self.queue, alarm_topic)


def depth_alarm(scope: Construct, queue: sqs.Queue, topic: sns.ITopic) -> cloudwatch.Alarm:
    """Alarm as soon as a queue holds a message."""
    metric = queue.metric_approximate_number_of_messages_visible(period=Duration.minutes(1), statistic="Maximum")
    alarm = metric.create_alarm(
        scope,
        "DepthAlarm",
        threshold=1,
        evaluation_periods=1,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description="Undelivered work waits in this queue",
    )
    alarm.add_alarm_action(actions.SnsAction(topic))
    return alarm
