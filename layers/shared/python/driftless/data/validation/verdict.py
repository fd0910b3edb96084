"""The verdict on one file: whether it is accepted, the files of its rows, its report, and the record for the next step."""

from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from driftless.core.layout.lake import quarantined_rows, staged_rows, unattributed_report, validation_report
from driftless.definition.datasets import Dataset
from driftless.ports import FileUploader, ObjectWriter
from driftless.records import Ref, RuleResult, SourceObject, ValidationRecord, ValidationReport

STAGED = "staging.parquet"
QUARANTINED = "quarantine.parquet"
_INLINE_TEXT = 500
_INLINE_REASONS = 12_000
_INLINE_RULES = 24_000

Status = Literal["accepted", "rejected"]
T = TypeVar("T")


class StagingArea(ObjectWriter, FileUploader, Protocol):
    """The operations on the lake bucket that validation needs."""


class Verdict:
    """The results for one file so far, and where they are written.

    Parameters
    ----------
    lake : StagingArea
    source : SourceObject
        The landed file.
    """

    def __init__(self, lake: StagingArea, source: SourceObject) -> None:
        self._lake = lake
        self.source = source
        self.project = self.dataset = self.definition = ""
        self.rows = self.quarantined = 0
        self.rules: list[RuleResult] = []
        self.warnings: list[str] = []

    def decide(self, scratch: Path, dataset: Dataset) -> ValidationRecord:
        """Accept or reject by the counts; upload the files of rows in ``scratch``, and the report."""
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
            quarantine = self._lake.upload(scratch / QUARANTINED, quarantined_rows(*self._identity))
        if reasons:
            return self.reject(reasons, quarantine)
        staged = self._lake.upload(scratch / STAGED, staged_rows(*self._identity))
        return self._record("accepted", [], staged, quarantine)

    def reject(self, reasons: list[str], quarantine: Ref | None = None) -> ValidationRecord:
        """Reject the file as a whole and upload the report."""
        return self._record("rejected", reasons, None, quarantine)

    def _record(self, status: Status, reasons: list[str], staged: Ref | None, quarantine: Ref | None) -> ValidationRecord:
        report = ValidationReport(
            status=status,
            project=self.project,
            dataset=self.dataset,
            source=self.source,
            rows=self.rows,
            accepted_rows=self.rows - self.quarantined if status == "accepted" else 0,
            quarantined_rows=self.quarantined,
            staged=staged,
            quarantine=quarantine,
            reasons=[*reasons, *self.warnings],
            rules=self.rules,
        )
        content = json.dumps(report.model_dump(), indent=2, sort_keys=True, ensure_ascii=False).encode()
        ref = self._lake.put(self._report_key(), content, content_type="application/json")
        return _inline(ValidationRecord(**dict(report), report=ref))

    @property
    def _identity(self) -> tuple[str, str, str, str]:
        """The parts of the keys. Another definition must not overwrite what an ingestion is about to read."""
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
