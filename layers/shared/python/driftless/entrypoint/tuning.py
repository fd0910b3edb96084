"""Composition of the tuning function."""

from __future__ import annotations

from driftless.adapters.aws import client
from driftless.adapters.s3 import S3Store
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Settings, read_settings
from driftless.training.tuning import Tune


class TuningSettings(Settings):
    """Environment of the function."""

    artifacts_bucket: str


def compose() -> Tune:
    """The step with its adapters."""
    settings = read_settings(TuningSettings)
    return Tune(artifacts=S3Store(settings.artifacts_bucket, client=client("s3")), projects=load_all())
