"""Ingestion: an accepted file becomes a version of its dataset's table, once.

The Delta transaction is identified by the object's S3 version, its content and the project definition. The event of an upload may
arrive repeatedly and an earlier attempt may have died anywhere: the table gets the rows once, and every attempt returns the same
version. A file that is sent again is another object version: the same bytes after a corrected definition, or after other rows of
the same keys, are committed again. Of rows with the same key the last commit counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from driftless.core.duckdb import within_resources
from driftless.definition.lake_columns import stored_columns
from driftless.definition.loading import named
from driftless.definition.project import Project
from driftless.errors import DataRejected, NotFound
from driftless.ports import FileFetcher, IngestLog, TableWriter
from driftless.records import IngestFacts, IngestionRecord, IngestionRequest, Ref, SourceObject


class Ingest:
    """The ingestion step.

    Parameters
    ----------
    lake : FileFetcher
        Holds the staged file.
    tables : TableWriter
        Takes its rows.
    registry : IngestLog
        Remembers what was ingested.
    projects : mapping of str to Project
        Every project definition, by name.
    git_commit : callable
        The deployed commit, as in :class:`~driftless.data.dataset.Transform`.
    """

    def __init__(
        self,
        *,
        lake: FileFetcher,
        tables: TableWriter,
        registry: IngestLog,
        projects: Mapping[str, Project],
        git_commit: Callable[[], str],
    ) -> None:
        self._lake = lake
        self._tables = tables
        self._registry = registry
        self._projects = projects
        self._git_commit = git_commit

    def __call__(self, request: IngestionRequest) -> IngestionRecord:
        verdict = request.validation
        if verdict.status != "accepted" or verdict.staged is None:
            raise DataRejected(f"{verdict.source.key} was rejected: {'; '.join(verdict.reasons)}")
        project = named(self._projects, verdict.project)
        if verdict.dataset not in project.datasets:
            raise NotFound(f"no dataset {verdict.project}/{verdict.dataset}")
        table = project.table(verdict.dataset)
        source = verdict.source
        with within_resources(), TemporaryDirectory(prefix="ingest-") as folder:
            staged = self._lake.fetch(verdict.staged, Path(folder) / "staged.parquet")
            version, duplicate = self._tables.append(
                table,
                staged,
                columns=stored_columns(project.datasets[verdict.dataset]),
                transaction=_transaction(source, verdict.staged),
                commit={
                    "bucket": source.bucket,
                    "key": source.key,
                    "version_id": source.version_id or "",
                    "sha256": source.sha256,
                    "rows": str(verdict.accepted_rows),
                    "quarantined_rows": str(verdict.quarantined_rows),
                    "report": verdict.report.key,
                    "git_commit": self._git_commit(),
                    "execution_arn": request.execution_arn,
                },
            )
        # Written by every delivery, so that one that died right after its commit is made good by the next.
        self._registry.record_ingest(
            verdict.project,
            verdict.dataset,
            IngestFacts(
                table=table,
                version=version,
                sha256=source.sha256,
                key=source.key,
                rows=verdict.accepted_rows,
                quarantined_rows=verdict.quarantined_rows,
                report=verdict.report.key,
            ),
        )
        return IngestionRecord(
            project=verdict.project,
            dataset=verdict.dataset,
            table=table,
            version=version,
            rows=verdict.accepted_rows,
            duplicate=duplicate,
        )


def _transaction(source: SourceObject, staged: Ref) -> str:
    """The staged file's key holds the digests of content and definition, not of its bytes, so it is the same at every attempt."""
    return hashlib.sha256("\0".join((source.bucket, source.key, source.version_id or "", staged.key)).encode()).hexdigest()
