"""What the registry keeps of versions and of moves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from driftless.records.common import Decision, Record


class ModelVersion(Record):
    """A registered version as the registry remembers it (field names follow MLflow's)."""

    project: str
    version: int
    run_id: str
    created_at: datetime
    source: str
    manifest_sha256: str
    signing_key: str
    decision: Decision
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
