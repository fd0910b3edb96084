"""What stages need from the outside world, as a handful of small protocols.

One contract suite (``tests/unit/adapters/``) runs against every adapter and against the in-memory fakes of
``driftless.testing.memory``. Times are timezone-aware UTC. Keys are relative to the bucket a store was made for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from driftless.records import AuditEvent, Endpoint, ModelVersion, Ref, RetrainDecision, Run, TableVersion


class ObjectReader(Protocol):
    """The part of a bucket that serving reads; every ObjectStore is one."""

    def get(self, key: str) -> bytes:
        """Whole content; NotFound when there is none."""

    def get_if_changed(self, key: str, etag: str | None) -> tuple[bytes, str] | None:
        """Content and ETag, or None when ``etag`` still matches; NotFound when there is none."""


class ObjectStore(Protocol):
    """One bucket. Raises NotFound, IntegrityError, Conflict, StoreUnavailable or Throttled."""

    def get(self, key: str) -> bytes:
        """Whole content; NotFound when there is none."""

    def get_if_changed(self, key: str, etag: str | None) -> tuple[bytes, str] | None:
        """Content and ETag, or None when ``etag`` still matches; NotFound when there is none."""

    def put(self, key: str, content: bytes, *, content_type: str = "application/octet-stream", if_absent: bool = False) -> Ref:
        """Write; with ``if_absent`` an existing object of equal content is returned, of other content is a Conflict."""

    def put_if_unchanged(
        self, key: str, content: bytes, etag: str | None, *, content_type: str = "application/octet-stream"
    ) -> Ref:
        """Write over the very content that ``etag`` names, None meaning nothing; Conflict when somebody else was first."""

    def download(self, key: str, path: Path, *, version_id: str | None = None) -> Ref:
        """Stream to a local file, measuring its digest."""

    def fetch(self, ref: Ref, path: Path) -> Path:
        """Download and check the digest; IntegrityError when it differs."""

    def upload(self, path: Path, key: str) -> Ref:
        """Stream a local file up."""

    def list(self, prefix: str) -> list[str]:
        """Keys under a prefix, sorted."""


class LakeTables(Protocol):
    """The lake's Delta tables. The Delta version is the data version."""

    def append(
        self, table: str, parquet: Path, *, columns: dict[str, str], transaction: str, commit: dict[str, str]
    ) -> tuple[int, bool]:
        """Commit one Parquet file; ``(version, duplicate)``.

        ``columns`` maps column to its project type. ``transaction`` identifies the source object: a second append under the
        same one commits nothing and answers the version that holds it. ``commit`` is kept as commit metadata.
        """

    def latest(self, table: str) -> int | None:
        """Latest version, None when the table does not exist."""

    def fetch(self, table: str, version: int, folder: Path) -> list[Path]:
        """The Parquet files of one version, downloaded into ``folder``, oldest commit first."""

    def history(self, table: str) -> Sequence[dict[str, Any]]:
        """Commits, newest first: version, time, and the commit metadata given at append."""


class Signer(Protocol):
    """Signs with the registration key (ECDSA P-256 over SHA-256, DER signature)."""

    def sign(self, content: bytes) -> bytes: ...

    def public_key(self) -> bytes:
        """DER SubjectPublicKeyInfo."""


class Verifier(Protocol):
    """Checks a DER ECDSA P-256 signature; raises SignatureInvalid."""

    def verify(self, public_key: bytes, content: bytes, signature: bytes) -> None: ...


class MetricSink(Protocol):
    """Publishes measurements to the operator's metric system."""

    def publish(self, metrics: dict[str, float], dimensions: dict[str, str]) -> None: ...

    def minutes(self, name: str, dimensions: dict[str, str], since: datetime, until: datetime) -> dict[datetime, float]:
        """Sum of a metric over each minute (UTC) of an interval in which anything was published."""


class Workflow(Protocol):
    """Starts executions of one state machine."""

    def start(self, name: str, payload: dict[str, Any]) -> str:
        """Execution ARN. Starting the same name again answers the ARN of the first."""

    def running(self) -> list[str]:
        """Names of the executions that run now."""


class Registry(Protocol):
    """Runs, versions, endpoints and the audit chain of every project. Raises NotFound, Conflict, StoreUnavailable."""

    def record_run(self, run: Run, facts: dict[str, Any]) -> None:
        """Create or extend a run (tables, parameters, metrics, status…); same facts again change nothing."""

    def run(self, project: str, run_id: str) -> dict[str, Any]: ...

    def runs(self, project: str, limit: int = 50) -> list[dict[str, Any]]:
        """Newest first."""

    def reserve_version(self, project: str, run_id: str) -> int:
        """The version number of a run: allocated once, the same at every call."""

    def create_version(self, version: ModelVersion) -> ModelVersion:
        """Register; registering the same run again answers what is there. Writes an audit event in the same transaction."""

    def version(self, project: str, version: int) -> ModelVersion: ...

    def versions(self, project: str) -> list[ModelVersion]:
        """Newest first."""

    def endpoint(self, project: str) -> Endpoint:
        """The current endpoint, revision 0 and nobody serving when there never was one."""

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

        ``decide`` returns the new endpoint (project, revision, manifests and updated_at are set here) or None to leave it as it
        is; what it raises passes. NotFound when a version is not registered, IllegalMove when the rules of
        ``driftless.modelling.endpoint`` forbid the move.
        """

    def audit(self, project: str) -> list[AuditEvent]:
        """The whole chain, oldest first; IntegrityError when a link does not verify."""

    def record_monitoring(self, project: str, window_end: datetime, facts: dict[str, Any]) -> None: ...

    def monitoring(self, project: str, limit: int = 50) -> list[dict[str, Any]]:
        """Reports, newest window first."""

    def record_retrain(
        self, project: str, event_id: str, decide: Callable[[Sequence[RetrainDecision]], RetrainDecision]
    ) -> RetrainDecision:
        """The decision about an event, made once: ``decide`` sees the newest decisions, and again after a lost race.

        An event that was decided before answers its first decision. Two events at once are decided one after the other.
        """

    def retrains(self, project: str, limit: int = 50) -> list[RetrainDecision]:
        """Newest first."""

    def record_ingest(self, project: str, dataset: str, facts: dict[str, Any]) -> None: ...

    def ingests(self, project: str, dataset: str, limit: int = 50) -> list[dict[str, Any]]:
        """Newest first."""

    def record_tables(self, run: Run, tables: Sequence[TableVersion]) -> None:
        """Pin the data versions of a run: the first call decides, later ones must agree (Conflict)."""

    def tables(self, run: Run) -> list[TableVersion] | None:
        """The pinned data versions of a run, None before they are."""


Clock = Callable[[], datetime]
