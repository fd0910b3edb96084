"""Composition of the ingestion function."""

from __future__ import annotations

from driftless.adapters.aws import client
from driftless.adapters.delta import s3_tables
from driftless.adapters.dynamodb import DynamoRegistry
from driftless.adapters.s3 import S3Store
from driftless.adapters.ssm import remembered
from driftless.core.layout.parameters import COMMIT, parameter_name
from driftless.data.ingestion import Ingest
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Settings, read_settings


class IngestionSettings(Settings):
    """Environment of the function."""

    stage: str
    lake_bucket: str
    registry_table: str


def compose() -> Ingest:
    """The step with its adapters; the deployed commit is read when a file is committed."""
    settings = read_settings(IngestionSettings)
    lake = S3Store(settings.lake_bucket, client=client("s3"))
    return Ingest(
        lake=lake,
        tables=s3_tables(settings.lake_bucket, lake),
        registry=DynamoRegistry(settings.registry_table, client=client("dynamodb")),
        projects=load_all(),
        git_commit=remembered(parameter_name(settings.stage, COMMIT), client=client("ssm")),
    )
