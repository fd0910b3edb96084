"""Composition of the transform function."""

from __future__ import annotations

from driftless.adapters.aws import client
from driftless.adapters.delta import s3_tables
from driftless.adapters.dynamodb import DynamoRegistry
from driftless.adapters.s3 import S3Store
from driftless.adapters.ssm import remembered
from driftless.core.layout.parameters import COMMIT, parameter_name
from driftless.data.dataset import Transform
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Settings, read_settings


class TransformSettings(Settings):
    """Environment of the function."""

    stage: str
    lake_bucket: str
    artifacts_bucket: str
    registry_table: str


def compose() -> Transform:
    """The step with its adapters; the deployed commit is read when a training set is made."""
    settings = read_settings(TransformSettings)
    lake = S3Store(settings.lake_bucket, client=client("s3"))
    return Transform(
        tables=s3_tables(settings.lake_bucket, lake),
        artifacts=S3Store(settings.artifacts_bucket, client=client("s3")),
        registry=DynamoRegistry(settings.registry_table, client=client("dynamodb")),
        projects=load_all(),
        git_commit=remembered(parameter_name(settings.stage, COMMIT), client=client("ssm")),
    )
