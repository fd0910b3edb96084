"""Composition of the monitoring function: one window judged, levels to CloudWatch, the report to lake and registry."""

from __future__ import annotations

from driftless.adapters.aws import client
from driftless.adapters.cloudwatch import CloudWatchMetrics
from driftless.adapters.dynamodb import DynamoRegistry
from driftless.adapters.s3 import S3Store
from driftless.core.clock import utc_now
from driftless.core.emf import NAMESPACE
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Settings, read_settings
from driftless.monitoring.step import Monitor


class MonitoringSettings(Settings):
    """Environment of the function."""

    stage: str
    lake_bucket: str
    artifacts_bucket: str
    registry_table: str


def compose() -> Monitor:
    """The step over S3, DynamoDB and CloudWatch."""
    settings = read_settings(MonitoringSettings)
    return Monitor(
        lake=S3Store(settings.lake_bucket, client=client("s3")),
        artifacts=S3Store(settings.artifacts_bucket, client=client("s3")),
        registry=DynamoRegistry(settings.registry_table, client=client("dynamodb")),
        metrics=CloudWatchMetrics(NAMESPACE, client=client("cloudwatch")),
        projects=load_all(),
        clock=utc_now,
        stage=settings.stage,
    )
