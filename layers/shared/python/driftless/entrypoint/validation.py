"""Composition of the validation function."""

from __future__ import annotations

from datetime import UTC, datetime

from driftless.adapters.aws import client
from driftless.adapters.s3 import S3Store
from driftless.entrypoint.common import Settings, read_settings
from driftless.project import load_all
from driftless.validate import Validate


class ValidationSettings(Settings):
    """Environment of the function."""

    landing_bucket: str
    lake_bucket: str


def compose() -> Validate:
    """The stage with its adapters."""
    settings = read_settings(ValidationSettings)
    s3 = client("s3")
    return Validate(
        landing=S3Store(settings.landing_bucket, client=s3),
        lake=S3Store(settings.lake_bucket, client=s3),
        projects=load_all(),
        clock=lambda: datetime.now(UTC),
    )
