"""The validation step: from one object of the landing bucket to its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from driftless.core.duckdb import engine, literal, quoted, scalar, within_resources
from driftless.core.layout.landing import parse_landing_key
from driftless.data.validation.checks import checks, create_typed, examples, judge
from driftless.data.validation.raw import load
from driftless.data.validation.source import Refused, open_source
from driftless.data.validation.verdict import QUARANTINED, STAGED, StagingArea, Verdict
from driftless.definition.datasets import Dataset
from driftless.definition.project import Project
from driftless.ports import Clock, FileDownloader
from driftless.records import RuleResult, SourceObject, ValidationRecord, ValidationRequest


class Validate:
    """The validation step.

    Parameters
    ----------
    landing : FileDownloader
        Where files arrive.
    lake : StagingArea
        Where ``staging/``, ``quarantine/`` and ``reports/`` are written.
    projects : mapping of str to Project
        Every project definition, by name.
    clock : Clock
        The current time, which limits how far ahead event times may be.
    """

    def __init__(self, *, landing: FileDownloader, lake: StagingArea, projects: Mapping[str, Project], clock: Clock) -> None:
        self._landing = landing
        self._lake = lake
        self._projects = projects
        self._clock = clock

    def __call__(self, request: ValidationRequest) -> ValidationRecord:
        with within_resources(), TemporaryDirectory(prefix="validate-") as folder:
            scratch = Path(folder)
            landed = self._landing.download(request.key, scratch / "landed", version_id=request.version_id)
            source = SourceObject(
                bucket=request.bucket,
                key=request.key,
                version_id=request.version_id,
                sha256=landed.sha256,
                size=landed.size,
            )
            verdict = Verdict(self._lake, source)
            try:
                project, dataset = self._addressee(request.key, verdict)
                self._judge(scratch, project, dataset, verdict, self._clock())
            except Refused as refusal:
                return verdict.reject([str(refusal)])
            return verdict.decide(scratch, project.datasets[dataset])

    def _addressee(self, key: str, verdict: Verdict) -> tuple[Project, str]:
        project, dataset, file = parse_landing_key(key)
        verdict.project, verdict.dataset = project, dataset
        if not dataset or not file or file.startswith("/"):
            raise Refused(f"key {key!r} is not of the form <project>/<dataset>/<file>")
        if project not in self._projects:
            raise Refused(f"no project {project!r}; known: {', '.join(sorted(self._projects))}")
        definition = self._projects[project]
        if dataset not in definition.datasets:
            raise Refused(f"project {project!r} has no dataset {dataset!r}; known: {', '.join(sorted(definition.datasets))}")
        verdict.definition = definition.features_digest
        return definition, dataset

    @staticmethod
    def _judge(scratch: Path, project: Project, name: str, verdict: Verdict, now: datetime) -> None:
        dataset = project.datasets[name]
        source = open_source(scratch / "landed")
        with engine(scratch) as connection:
            verdict.warnings = load(connection, source, dataset)
            malformed = scalar(connection, "SELECT count(*) FROM malformed")
            verdict.rows = scalar(connection, "SELECT count(*) FROM raw") + malformed
            create_typed(connection, dataset)
            judged = judge(connection, project, checks(connection, project, name, now), dataset)
            verdict.quarantined = malformed + scalar(connection, "SELECT count(*) FROM judged WHERE NOT kept")
            verdict.rules = [
                RuleResult(
                    rule=check.name, level=check.level, failed_rows=count, examples=examples(connection, check, at, dataset)
                )
                for at, (check, count) in enumerate(judged)
                if count
            ]
            if malformed:
                lines = connection.execute("SELECT line, reason FROM malformed ORDER BY line LIMIT 5").fetchall()
                shown = [f"line {line}: {reason}" for line, reason in lines]
                verdict.rules.append(RuleResult(rule="well_formed", level="quarantine", failed_rows=malformed, examples=shown))
            _write(connection, dataset, verdict, scratch)


def _write(connection: Any, dataset: Dataset, verdict: Verdict, scratch: Path) -> None:
    """The staged and the quarantine file, in the order of the source's rows."""
    typed = ", ".join(
        f"CAST({quoted(name)} AS TIMESTAMPTZ) AS {quoted(name)}" if column.type == "timestamp" else quoted(name)
        for name, column in dataset.columns.items()
    )
    kept = "_source_row NOT IN (SELECT _source_row FROM judged WHERE NOT kept)"
    _copy(
        connection,
        f"SELECT {typed}, {literal(verdict.source.sha256)} AS _source, _source_row FROM typed WHERE {kept} ORDER BY _source_row",
        scratch / STAGED,
    )
    raw = ", ".join(f"r.{quoted(name)}" for name in dataset.columns)
    nothing = ", ".join(f"NULL::VARCHAR AS {quoted(name)}" for name in dataset.columns)
    _copy(
        connection,
        f"SELECT _source_row, NULL::BIGINT AS _line, reasons AS _reasons, NULL::VARCHAR AS _text, {raw} "
        "FROM judged JOIN raw r USING (_source_row) WHERE NOT kept "
        f"UNION ALL BY NAME SELECT NULL::BIGINT AS _source_row, line AS _line, ['well_formed: ' || reason] AS _reasons, "
        f"text AS _text, {nothing} FROM malformed ORDER BY _source_row, _line",
        scratch / QUARANTINED,
    )


def _copy(connection: Any, query: str, path: Path) -> None:
    connection.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)")
