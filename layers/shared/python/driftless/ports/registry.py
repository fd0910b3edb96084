"""The registry by use: runs, versions, the endpoint, the audit chain, reports, retraining decisions and ingests.

Methods raise NotFound, Conflict or StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from driftless.records import (
    AuditEvent,
    Endpoint,
    IngestFacts,
    ModelVersion,
    RecordedIngest,
    RecordedRun,
    RetrainDecision,
    Run,
    RunFacts,
    TableVersion,
    WindowFacts,
    WindowReport,
)


class RunLog(Protocol):
    """Records what steps find out about a run."""

    def record_run(self, run: Run, facts: RunFacts) -> None:
        """Create a run, or set the given facts of it and keep the others; recording the same facts again changes nothing."""


class RunReader(Protocol):
    """Reads one run."""

    def run(self, project: str, run_id: str) -> RecordedRun:
        """Everything recorded of a run; NotFound when there is no such run."""


class RunHistory(Protocol):
    """Lists runs."""

    def runs(self, project: str, limit: int = 50) -> list[RecordedRun]:
        """Newest first."""


class TablePins(Protocol):
    """Pins the data versions of a run, so that every attempt reads the same data."""

    def record_tables(self, run: Run, tables: Sequence[TableVersion]) -> None:
        """Pin the data versions: the first call decides, later ones must be equal (Conflict)."""

    def tables(self, run: Run) -> list[TableVersion] | None:
        """The pinned data versions, None before they are pinned."""


class VersionRegistration(Protocol):
    """Registers model versions."""

    def reserve_version(self, project: str, run_id: str) -> int:
        """The version number of a run: allocated once, the same at every call."""

    def create_version(self, version: ModelVersion) -> ModelVersion:
        """Register a version together with its audit event; registering the same run again returns what is registered."""


class VersionReader(Protocol):
    """Reads one registered version."""

    def version(self, project: str, version: int) -> ModelVersion:
        """A registered version; NotFound when there is none of this number."""


class VersionHistory(Protocol):
    """Lists registered versions."""

    def versions(self, project: str) -> list[ModelVersion]:
        """Newest first."""


class EndpointReader(Protocol):
    """Reads which versions serve."""

    def endpoint(self, project: str) -> Endpoint:
        """The current endpoint; revision 0 without a champion when there never was one."""


class EndpointMover(Protocol):
    """Changes which versions serve."""

    def move_endpoint(
        self,
        project: str,
        decide: Callable[[Endpoint], Endpoint | None],
        *,
        actor: str,
        action: str,
        reasons: Sequence[str] = (),
    ) -> Endpoint:
        """Read, decide, write in one conditional transaction with its audit event; decide again after a lost race.

        ``decide`` returns the new endpoint (project, revision, manifests and updated_at are set here) or None to leave it
        unchanged; what it raises passes through. NotFound when a version is not registered, IllegalMove when the rules of
        ``driftless.modelling.endpoint`` forbid the move.
        """


class AuditReader(Protocol):
    """Reads the audit chain."""

    def audit(self, project: str) -> list[AuditEvent]:
        """The whole chain, oldest first; IntegrityError when a link does not verify."""


class ReportLog(Protocol):
    """Records monitoring's reports."""

    def record_monitoring(self, project: str, window_end: datetime, facts: WindowFacts) -> None:
        """Keep the report of the window that ends then, replacing an earlier one."""


class ReportReader(Protocol):
    """Reads monitoring's reports."""

    def monitoring(self, project: str, limit: int = 50) -> list[WindowReport]:
        """Reports, newest window first."""


class RetrainDecisions(Protocol):
    """Makes each retraining decision once."""

    def record_retrain(
        self, project: str, event_id: str, decide: Callable[[Sequence[RetrainDecision]], RetrainDecision]
    ) -> RetrainDecision:
        """The decision about an event, made once: ``decide`` sees the newest decisions, and again after a lost race.

        An event that was decided before returns its first decision. Two events at once are decided one after the other.
        """


class RetrainHistory(Protocol):
    """Lists retraining decisions."""

    def retrains(self, project: str, limit: int = 50) -> list[RetrainDecision]:
        """Newest first."""


class IngestLog(Protocol):
    """Records what ingestion committed."""

    def record_ingest(self, project: str, dataset: str, facts: IngestFacts) -> None:
        """Keep one ingest; recording the same facts again changes nothing."""


class IngestHistory(Protocol):
    """Lists what ingestion committed."""

    def ingests(self, project: str, dataset: str, limit: int = 50) -> list[RecordedIngest]:
        """Newest first."""


class Registry(
    RunLog,
    RunReader,
    RunHistory,
    TablePins,
    VersionRegistration,
    VersionReader,
    VersionHistory,
    EndpointReader,
    EndpointMover,
    AuditReader,
    ReportLog,
    ReportReader,
    RetrainDecisions,
    RetrainHistory,
    IngestLog,
    IngestHistory,
    Protocol,
):
    """The registry of every project: everything an adapter implements."""
