"""Composition of the validation function, with what became of each file's rows as metrics of its project."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from driftless.adapters.aws import client
from driftless.adapters.s3 import S3Store
from driftless.data.validation import Validate
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Settings, read_settings
from driftless.records import ValidationRecord, ValidationRequest


class ValidationSettings(Settings):
    """Environment of the function."""

    stage: str
    landing_bucket: str
    lake_bucket: str


def compose() -> Callable[[ValidationRequest], ValidationRecord]:
    """The stage with its adapters."""
    settings = read_settings(ValidationSettings)
    s3 = client("s3")
    validate = Validate(
        landing=S3Store(settings.landing_bucket, client=s3),
        lake=S3Store(settings.lake_bucket, client=s3),
        projects=load_all(),
        clock=lambda: datetime.now(UTC),
    )

    def validated(request: ValidationRequest) -> ValidationRecord:
        record = validate(request)
        measure(record, settings.stage)
        return record

    return validated


def measure(record: ValidationRecord, stage: str) -> None:
    """Publish, as embedded metrics, how many rows of a file were taken and set aside, and whether it was refused as a whole.

    A file counts as often as it is validated: a second delivery of its event counts again, though its rows are committed once.
    """
    metrics = EphemeralMetrics()
    metrics.add_dimension("Stage", stage)
    metrics.add_dimension("Project", record.project)
    accepted = record.status == "accepted"
    metrics.add_metric("AcceptedRows", MetricUnit.Count, record.accepted_rows)
    metrics.add_metric("QuarantinedRows", MetricUnit.Count, record.quarantined_rows if accepted else 0)
    metrics.add_metric("RejectedFiles", MetricUnit.Count, 0 if accepted else 1)
    metrics.flush_metrics()
