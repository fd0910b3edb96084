"""Composition of the validation function, with what became of each file's rows as metrics of its project."""

from __future__ import annotations

from collections.abc import Callable

from driftless.adapters.aws import client
from driftless.adapters.s3 import S3Store
from driftless.core.clock import utc_now
from driftless.core.emf import emit
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
    """The step with its adapters."""
    settings = read_settings(ValidationSettings)
    s3 = client("s3")
    validate = Validate(
        landing=S3Store(settings.landing_bucket, client=s3),
        lake=S3Store(settings.lake_bucket, client=s3),
        projects=load_all(),
        clock=utc_now,
    )

    def validated(request: ValidationRequest) -> ValidationRecord:
        record = validate(request)
        measure(record, settings.stage)
        return record

    return validated


def measure(record: ValidationRecord, stage: str) -> None:
    """Publish how many rows of a file were accepted and quarantined, and whether the file was rejected.

    A file counts each time it is validated: a second delivery of its event counts again, though its rows are committed once.
    """
    accepted = record.status == "accepted"
    counts = {
        "AcceptedRows": record.accepted_rows,
        "QuarantinedRows": record.quarantined_rows if accepted else 0,
        "RejectedFiles": 0 if accepted else 1,
    }
    dimensions = {"Stage": stage, "Project": record.project, "service": "validation"}
    emit({name: (count, "Count") for name, count in counts.items()}, dimensions)
