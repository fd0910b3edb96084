"""From a landed object to a Delta version."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from driftless.records.common import Record, Ref


class ValidationRequest(Record):
    """A new object in the landing bucket (``<project>/<dataset>/<file>``)."""

    bucket: str
    key: str
    version_id: str | None = None


class SourceObject(Record):
    """The source of rows: object, S3 version and content digest."""

    bucket: str
    key: str
    version_id: str | None
    sha256: str
    size: int


class RuleResult(Record):
    """Outcome of one rule over one file: how many rows broke it, at which level, and up to five examples."""

    rule: str
    level: Literal["warn", "quarantine", "fail"]
    failed_rows: int
    examples: list[str] = Field(default_factory=list)


class ValidationReport(Record):
    """Verdict over one file. ``staged`` and ``quarantine`` are Parquet objects in the lake bucket."""

    status: Literal["accepted", "rejected"]
    project: str
    dataset: str
    source: SourceObject
    rows: int
    accepted_rows: int
    quarantined_rows: int
    staged: Ref | None
    quarantine: Ref | None
    reasons: list[str]
    rules: list[RuleResult]


class ValidationRecord(ValidationReport):
    """The verdict as the next step gets it: with the report's reference, and the first of its reasons and rules."""

    report: Ref


class IngestionRequest(Record):
    """An accepted file to commit; ``execution_arn`` is the ingest execution."""

    validation: ValidationRecord
    execution_arn: str = ""


class IngestionRecord(Record):
    """The Delta version that now holds the file; ``duplicate`` when an earlier delivery had already committed it."""

    project: str
    dataset: str
    table: str
    version: int
    rows: int
    duplicate: bool
