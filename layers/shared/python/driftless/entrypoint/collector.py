"""Composition of the collector: batches of the log subscription to Parquet in the lake, and failed batches once more.

CloudWatch Logs delivers a batch once and Lambda tries it three times. A batch that still fails is in a queue as Lambda's record
of the invocation. The collector receives it from there as one message; if it fails again, the other messages still succeed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from driftless.adapters.aws import client
from driftless.adapters.s3 import S3Store
from driftless.core.emf import emit
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Handler, Settings, read_settings, step_handler
from driftless.errors import BadRequest
from driftless.serving.collector import Collect, Collected, CollectRequest


class CollectorSettings(Settings):
    """Environment of the function."""

    stage: str
    lake_bucket: str


def compose() -> Callable[[CollectRequest], Collected]:
    """The step; it also publishes the number of unreadable lines as an embedded metric."""
    settings = read_settings(CollectorSettings)
    collect = Collect(lake=S3Store(settings.lake_bucket, client=client("s3")), projects=load_all())

    def collected(request: CollectRequest) -> Collected:
        record = collect(request)
        emit({"UnreadableLines": (record.unreadable, "Count")}, {"Stage": settings.stage})
        return record

    return collected


def collector_handler() -> Handler:
    """The handler of both events: batches of the log subscription, and messages of the queue of failed batches."""
    collect = step_handler(CollectRequest, compose)

    def handler(event: dict[str, Any], context: Any) -> Any:
        if "Records" not in event:
            return collect(event, context)
        return process_partial_response(
            event=event,
            record_handler=lambda record: collect(failed_event(record), context),
            processor=BatchProcessor(EventType.SQS),
            context=context,
        )

    return handler


def failed_event(record: SQSRecord) -> dict[str, Any]:
    """The event of which a message is Lambda's record of its failure ("Capturing records of Lambda asynchronous invocations").

    Raises
    ------
    BadRequest
        When it is no such record; after some more attempts the message is set aside.
    """
    try:
        event: dict[str, Any] = json.loads(record.body)["requestPayload"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"message {record.message_id} is no record of a failed invocation: {error!r}") from error
    return event
