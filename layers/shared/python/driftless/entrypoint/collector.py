"""Composition of the collector: log subscription batches to Parquet in the lake."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime

from driftless import project
from driftless.adapters.aws import client
from driftless.adapters.s3 import S3Store
from driftless.collect import Collect, Collected, CollectRequest
from driftless.emf import emf_line
from driftless.entrypoint.common import Settings, read_settings


class CollectorSettings(Settings):
    """Environment of the function."""

    stage: str
    lake_bucket: str


def compose() -> Callable[[CollectRequest], Collected]:
    """The stage, with the lines it could not read published as an embedded metric."""
    settings = read_settings(CollectorSettings)
    collect = Collect(lake=S3Store(settings.lake_bucket, client=client("s3")), projects=project.load_all())

    def collected(request: CollectRequest) -> Collected:
        answer = collect(request)
        counts = {"UnreadableLines": (answer.unreadable, "Count")}
        sys.stdout.write(emf_line(counts, {"Stage": settings.stage}, datetime.now(UTC)) + "\n")
        return answer

    return collected
