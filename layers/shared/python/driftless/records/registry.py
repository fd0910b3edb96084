"""What the registry keeps of runs, ingests, versions and moves.

What is *recorded* extends the facts that a step hands over by who they belong to and when they were recorded. Facts are
written as they were given, without the fields that were not set; absent ones have their defaults when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from driftless.records.common import GateDecision, Record, Stamp, Stored


class DatasetFacts(Stored):
    """What the registry keeps of a run's training set. Times are UTC; intervals are half open."""

    features_digest: str = ""
    train_rows: int = 0
    holdout_rows: int = 0
    train_start: datetime | None = None
    train_end: datetime | None = None
    holdout_end: datetime | None = None
    git_commit: str = ""


class DeploymentFacts(Stored):
    """What the registry keeps of a run's last rollout step."""

    status: Literal["baking", "promoted", "rolled_back"]
    step: int
    reasons: list[str]


class RunFacts(Stored):
    """What steps found out about a run; each step sets the fields that it knows.

    ``decision``, ``reasons``, ``metrics``, ``parameters`` and ``evaluation`` (the report's key) come from evaluation;
    registration repeats them as they were signed and adds ``version`` and ``manifest_sha256``. A metric without a value is None.
    """

    dataset: DatasetFacts | None = None
    metrics: Mapping[str, float | None] = Field(default_factory=dict)
    decision: GateDecision | None = None
    reasons: list[str] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)
    evaluation: str | None = None
    version: int | None = None
    manifest_sha256: str | None = None
    deployment: DeploymentFacts | None = None


class RecordedRun(RunFacts):
    """A run with everything recorded of it; ``recorded_at`` is when it was recorded first."""

    run_id: str
    execution_arn: str = ""
    project: str
    reason: str = "manual"
    recorded_at: Stamp


class IngestFacts(Stored):
    """One committed file: the object's key and sha256, the table and version that hold its rows, the validation report's key."""

    table: str = ""
    version: int = 0
    key: str = ""
    sha256: str = ""
    rows: int = 0
    quarantined_rows: int = 0
    report: str = ""


class RecordedIngest(IngestFacts):
    """A committed file, its dataset, and when it was recorded."""

    project: str
    dataset: str
    recorded_at: Stamp


class ModelVersion(Record):
    """A registered model version (field names follow MLflow's)."""

    project: str
    version: int
    run_id: str
    created_at: datetime
    source: str
    manifest_sha256: str
    signing_key: str
    decision: GateDecision
    metrics: dict[str, float]
    tags: dict[str, str] = Field(default_factory=dict)


class AuditEvent(Record):
    """One link of a project's append-only chain: ``hash`` = sha256 of the canonical JSON of all other fields."""

    project: str
    sequence: int
    time: datetime
    actor: str
    action: str
    detail: dict[str, Any]
    previous_hash: str
    hash: str
