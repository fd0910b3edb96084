"""Validation: one landed file in, one verdict out, never half-written and never a crash.

The file is recognised by content, read as text, cast cell by cell and judged by the project's checks. Good rows become a staged
Parquet file, the others a quarantine file beside the reasons. A file that cannot be accepted at all, even one that belongs to no
project, ends as a rejected record with reasons, because a sender's mistake is no failure of the pipeline. All keys derive from
the content and the project definition, so a repeated delivery writes the same objects again. Reports carry no personal values.
The report is whole; the record that goes on between stages is not let grow with what a sender invents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

from driftless.core.duckdb import engine, literal, quoted, scalar, within_resources
from driftless.core.layout.lake import quarantined_rows, staged_rows, unattributed_report, validation_report
from driftless.core.layout.landing import parse_landing_key
from driftless.data.validation.checks import checks, create_typed, examples, judge
from driftless.data.validation.raw import load
from driftless.data.validation.source import Refused, open_source
from driftless.definition.datasets import Dataset
from driftless.definition.project import Project
from driftless.ports import Clock, FileDownloader, FileUploader, ObjectWriter
from driftless.records import Ref, RuleResult, SourceObject, ValidationRecord, ValidationRequest

_STAGED = "staging.parquet"
_QUARANTINED = "quarantine.parquet"
_INLINE_TEXT = 500
_INLINE_REASONS = 12_000
_INLINE_RULES = 24_000

T = TypeVar("T")


class StagingArea(ObjectWriter, FileUploader, Protocol):
    """What validation needs of the lake bucket."""


class Validate:
    """The validation stage.

    Parameters
    ----------
    landing : FileDownloader
        Where files arrive.
    lake : StagingArea
        Where ``staging/``, ``quarantine/`` and ``reports/`` are written.
    projects : mapping of str to Project
        Every project definition, by name.
    clock : Clock
        Tells which event times lie too far ahead.
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
            verdict = _Verdict(self._lake, source)
            try:
                project, dataset = self._addressee(request.key, verdict)
                self._judge(scratch, project, dataset, verdict, self._clock())
            except Refused as refusal:
                return verdict.reject([str(refusal)])
            return verdict.decide(scratch, project.datasets[dataset])

    def _addressee(self, key: str, verdict: _Verdict) -> tuple[Project, str]:
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
    def _judge(scratch: Path, project: Project, name: str, verdict: _Verdict, now: datetime) -> None:
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


class _Verdict:
    """What is known of one file so far, and how it is written down."""

    def __init__(self, lake: StagingArea, source: SourceObject) -> None:
        self._lake = lake
        self.source = source
        self.project = self.dataset = self.definition = ""
        self.rows = self.quarantined = 0
        self.rules: list[RuleResult] = []
        self.warnings: list[str] = []

    def decide(self, scratch: Path, dataset: Dataset) -> ValidationRecord:
        accepted = self.rows - self.quarantined
        reasons = [f"{rule.rule}: {rule.failed_rows} rows break it, at level fail" for rule in self.rules if rule.level == "fail"]
        if self.rows == 0:
            reasons.append("the file holds no rows, only a header")
        elif accepted == 0:
            reasons.append(f"none of {self.rows} rows is acceptable")
        elif self.quarantined > dataset.max_quarantined * self.rows:
            share = f"{self.quarantined} of {self.rows} rows ({self.quarantined / self.rows:.1%})"
            reasons.append(f"{share} would be quarantined, more than max_quarantined = {dataset.max_quarantined:.1%}")
        quarantine = None
        if self.quarantined:
            quarantine = self._lake.upload(scratch / _QUARANTINED, quarantined_rows(*self._identity))
        if reasons:
            return self.reject(reasons, quarantine)
        staged = self._lake.upload(scratch / _STAGED, staged_rows(*self._identity))
        return self._record("accepted", [], staged, quarantine)

    def reject(self, reasons: list[str], quarantine: Ref | None = None) -> ValidationRecord:
        return self._record("rejected", reasons, None, quarantine)

    def _record(self, status: Any, reasons: list[str], staged: Ref | None, quarantine: Ref | None) -> ValidationRecord:
        facts = {
            "status": status,
            "project": self.project,
            "dataset": self.dataset,
            "source": self.source.model_dump(),
            "rows": self.rows,
            "accepted_rows": self.rows - self.quarantined if status == "accepted" else 0,
            "quarantined_rows": self.quarantined,
            "staged": staged and staged.model_dump(),
            "quarantine": quarantine and quarantine.model_dump(),
            "reasons": [*reasons, *self.warnings],
            "rules": [rule.model_dump() for rule in self.rules],
        }
        content = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False).encode()
        report = self._lake.put(self._report_key(), content, content_type="application/json")
        return _inline(ValidationRecord.model_validate({**facts, "report": report}))

    @property
    def _identity(self) -> tuple[str, str, str, str]:
        """What keys derive from. Another definition must not overwrite what an ingestion is about to read."""
        return self.project, self.dataset, self.source.sha256, self.definition

    def _report_key(self) -> str:
        return validation_report(*self._identity) if self.definition else unattributed_report(self.source.key)


def _inline(record: ValidationRecord) -> ValidationRecord:
    """The record within the size of a step's payload: the first reasons and rules, and how many more the report holds."""
    rules = _fitting(record.rules, [rule.model_dump_json() for rule in record.rules], _INLINE_RULES)
    texts = [text if len(text) <= _INLINE_TEXT else f"{text[:_INLINE_TEXT]}…" for text in record.reasons]
    reasons = _fitting(texts, texts, _INLINE_REASONS)
    for left_out, what in ((len(texts) - len(reasons), "reasons"), (len(record.rules) - len(rules), "broken rules")):
        if left_out:
            reasons.append(f"and {left_out} more {what}, see the report")
    return record.model_copy(
        update={
            "project": record.project[:_INLINE_TEXT],
            "dataset": record.dataset[:_INLINE_TEXT],
            "reasons": reasons,
            "rules": rules,
        }
    )


def _fitting(items: list[T], texts: list[str], limit: int) -> list[T]:
    """The first items whose texts, as JSON in ASCII, stay within a number of bytes."""
    sizes = accumulate(len(json.dumps(text)) for text in texts)
    return [item for item, size in zip(items, sizes, strict=True) if size <= limit]


def _write(connection: Any, dataset: Dataset, verdict: _Verdict, scratch: Path) -> None:
    """The staged and the quarantine file, in the order of the source's rows."""
    typed = ", ".join(
        f"CAST({quoted(name)} AS TIMESTAMPTZ) AS {quoted(name)}" if column.type == "timestamp" else quoted(name)
        for name, column in dataset.columns.items()
    )
    kept = "_source_row NOT IN (SELECT _source_row FROM judged WHERE NOT kept)"
    _copy(
        connection,
        f"SELECT {typed}, {literal(verdict.source.sha256)} AS _source, _source_row FROM typed WHERE {kept} ORDER BY _source_row",
        scratch / _STAGED,
    )
    raw = ", ".join(f"r.{quoted(name)}" for name in dataset.columns)
    nothing = ", ".join(f"NULL::VARCHAR AS {quoted(name)}" for name in dataset.columns)
    _copy(
        connection,
        f"SELECT _source_row, NULL::BIGINT AS _line, reasons AS _reasons, NULL::VARCHAR AS _text, {raw} "
        "FROM judged JOIN raw r USING (_source_row) WHERE NOT kept "
        f"UNION ALL BY NAME SELECT NULL::BIGINT AS _source_row, line AS _line, ['well_formed: ' || reason] AS _reasons, "
        f"text AS _text, {nothing} FROM malformed ORDER BY _source_row, _line",
        scratch / _QUARANTINED,
    )


def _copy(connection: Any, query: str, path: Path) -> None:
    connection.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)")
