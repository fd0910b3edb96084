"""Where work goes that could not be delivered: a queue that tries it again, and one whose every message is an incident."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
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


class RetryQueue(Construct):
    """An encrypted queue from which a function takes its own failed events, five times each; then they are an incident.

    Attributes
    ----------
    queue : sqs.Queue
        What fails goes in here.
    dead : DeadLetterQueue
        What failed every time; SQS moves it back once the cause is gone (``StartMessageMoveTask``).
    """

    ATTEMPTS = 5

    def __init__(self, scope: Construct, identifier: str, *, timeout: Duration, alarm_topic: sns.ITopic) -> None:
        super().__init__(scope, identifier)
        self.dead = DeadLetterQueue(self, "Dead", alarm_topic=alarm_topic)
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
            # Lambda's documentation recommends six times the function's timeout.
            visibility_timeout=Duration.seconds(6 * timeout.to_seconds()),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead.queue, max_receive_count=self.ATTEMPTS),
        )

    def feed(self, live: lambda_.Alias) -> None:
        """Hand the queue's messages to a function, one at a time: what runs out of time or memory takes no other with it."""
        live.add_event_source_mapping(
            "Retries", event_source_arn=self.queue.queue_arn, batch_size=1, report_batch_item_failures=True
        )


def depth_alarm(scope: Construct, queue: sqs.Queue, topic: sns.ITopic) -> cloudwatch.Alarm:
    """Alarm as soon as a queue holds a message."""
    metric = queue.metric_approximate_number_of_messages_visible(period=MINUTE, statistic="Maximum")
    return alarm_on_any(scope, "DepthAlarm", metric, topic, description="Undelivered work waits in this queue")
