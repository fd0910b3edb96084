"""Composition of the evaluation function."""

from __future__ import annotations

from driftless.adapters.aws import client
from driftless.adapters.dynamodb import DynamoRegistry
from driftless.adapters.s3 import S3Store
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Settings, read_settings
from driftless.evaluation.step import Evaluate


class EvaluationSettings(Settings):
    """Environment of the function."""

    artifacts_bucket: str
    registry_table: str


def compose() -> Evaluate:
    """The step with its adapters."""
    settings = read_settings(EvaluationSettings)
    return Evaluate(
        artifacts=S3Store(settings.artifacts_bucket, client=client("s3")),
        registry=DynamoRegistry(settings.registry_table, client=client("dynamodb")),
        projects=load_all(),
    )
