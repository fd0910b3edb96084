"""Predictions that the collector wrote to the lake, read with DuckDB."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from cli.demo.flights import Month
from cli.shared.console import Output
from cli.shared.failures import Failure
from cli.shared.platform import Platform
from driftless.adapters.s3 import S3Store
from driftless.core.layout.lake import predictions_since

COLLECT_DEADLINE_SECONDS = 120.0
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Kept:
    """The predictions of a month in the lake; times are those of the services, latency is ms per request."""

    predictions: int
    requests: int
    versions: tuple[int, ...]
    first: datetime
    last: datetime
    latency_ms: float


class CollectedPredictions:
    """Reads a project's prediction Parquet; objects are immutable, so each is downloaded once."""

    def __init__(self, platform: Platform, project: str, folder: Path) -> None:
        self._store: S3Store = platform.store("lake")
        self._project, self._folder = project, folder

    def ids(self, month: Month) -> set[str]:
        """Ids of the predictions whose event time is in the month."""
        files = self._files(month)
        if not files:
            return set()
        return {row[0] for row in duckdb.sql(f"SELECT DISTINCT id FROM read_parquet({files!r}, union_by_name = true)").fetchall()}

    def kept(self, month: Month) -> Kept | None:
        """Figures of a month's predictions, None when there are none."""
        files = self._files(month)
        if not files:
            return None
        query = f"""
            WITH once AS (SELECT DISTINCT ON (id) * FROM read_parquet({files!r}, union_by_name = true))
            SELECT count(*), count(DISTINCT request_id), list_sort(list(DISTINCT version)), min(time), max(time),
                   (SELECT median(total) FROM (SELECT sum(latency_us) / 1000 AS total FROM once GROUP BY request_id))
            FROM once
        """
        (row,) = duckdb.sql(query).fetchall()
        return Kept(row[0], row[1], tuple(row[2]), row[3], row[4], float(row[5] or 0))

    def wait(self, out: Output, month: Month, ids: frozenset[str]) -> None:
        """Wait until every id is in the lake.

        Raises
        ------
        Failure
            When some are missing at the deadline.
        """
        until = time.monotonic() + COLLECT_DEADLINE_SECONDS
        with out.progress.status("waiting for the collector"):
            while missing := ids - self.ids(month):
                if time.monotonic() > until:
                    raise Failure(
                        "prediction collector",
                        f"{len(missing)} of {len(ids)} predictions are not in the lake",
                        "`driftless logs collector`",
                    )
                time.sleep(POLL_SECONDS)

    def _files(self, month: Month) -> list[str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        found: list[str] = []
        for key in self._store.list(predictions_since(self._project, str(month))):
            path = self._folder / key.replace("/", "_")
            if not path.is_file():
                with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as unfinished:
                    unfinished.write(self._store.get(key))
                Path(unfinished.name).replace(path)
            found.append(str(path))
        return found
