"""Where work goes that could not be delivered: a queue whose every message is an incident."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.failure import MINUTE, alarm_on_any


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
    metric = queue.metric_approximate_number_of_messages_visible(period=MINUTE, statistic="Maximum")
    return alarm_on_any(scope, "DepthAlarm", metric, topic, description="Undelivered work waits in this queue")
