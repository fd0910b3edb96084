"""Composition of the deployment function: endpoint in the registry, its copy in S3, the challenger's metrics in CloudWatch."""

from __future__ import annotations

from driftless.adapters.aws import client
from driftless.adapters.cloudwatch import CloudWatchMetrics
from driftless.adapters.dynamodb import DynamoRegistry
from driftless.adapters.s3 import S3Store
from driftless.core.clock import utc_now
from driftless.core.emf import NAMESPACE
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Settings, read_settings
from driftless.registry.rollout import Deploy


class DeploymentSettings(Settings):
    """Environment of the function."""

    stage: str
    artifacts_bucket: str
    registry_table: str


def compose() -> Deploy:
    """The step over DynamoDB, S3 and CloudWatch."""
    settings = read_settings(DeploymentSettings)
    return Deploy(
        registry=DynamoRegistry(settings.registry_table, client=client("dynamodb")),
        artifacts=S3Store(settings.artifacts_bucket, client=client("s3")),
        metrics=CloudWatchMetrics(NAMESPACE, client=client("cloudwatch")),
        projects=load_all(),
        stage=settings.stage,
        clock=utc_now,
    )
