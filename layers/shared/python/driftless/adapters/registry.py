"""The Registry port over any table of items: what is written together, under which condition, and what a lost race means.

Each collection of a project is a partition of its own (``flights#runs``, ``flights#audit`` …). Every change is one
conditional transaction; one that loses a race reads again and decides again. An endpoint moves together with its aliases, its
audit event and the head of the chain, on condition that revision and head are still those that were read: at any moment there
is exactly one champion, and no move without its link.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from typing import Any, TypeVar

from driftless.adapters.items import Absent, Attributes, Items, Unchanged, Write
from driftless.errors import Conflict, IntegrityError, NotFound
from driftless.modelling import audit_chain
from driftless.modelling.endpoint import check_move, nobody, same_state, versions_of
from driftless.records import AuditEvent, Endpoint, ModelVersion, RetrainDecision, Run, TableVersion

T = TypeVar("T")
_ATTEMPTS = 60
_LONGEST_PAUSE = 0.25


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


class TableRegistry:
    """Runs, versions, endpoints and the audit chain of every project.

    Parameters
    ----------
    items : Items
        Where they are kept.
    clock : callable, optional
        Answers the time, aware, in UTC.
    pause : callable, optional
        Waits so many seconds after a lost race.
    """

    def __init__(
        self, items: Items, *, clock: Callable[[], datetime] = utc_now, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._items = items
        self._clock = clock
        self._pause = pause

    # -- runs -------------------------------------------------------------------------------------------------------

    def record_run(self, run: Run, facts: dict[str, Any]) -> None:
        pointers, listing = f"{run.project}#run", f"{run.project}#runs"

        def attempt() -> None:
            pointer = self._items.get(pointers, run.run_id)
            if pointer is None:
                now = self._clock()
                sort = f"{_stamp(now)}#{run.run_id}"
                body = {**run.model_dump(mode="json"), "recorded_at": _stamp(now), "facts": facts}
                first: Attributes = {"record": audit_chain.canonical(body), "revision": 1}
                self._items.transact(
                    [Write(pointers, run.run_id, {"listed_as": sort}, Absent()), Write(listing, sort, first, Absent())]
                )
                return
            sort = str(pointer["listed_as"])
            item = self._present(listing, sort)
            body = _record(item)
            body["facts"] = {**body["facts"], **facts}
            text = audit_chain.canonical(body)
            if text != item["record"]:
                revision = int(item["revision"])
                changed: Attributes = {"record": text, "revision": revision + 1}
                self._items.transact([Write(listing, sort, changed, Unchanged("revision", revision))])

        self._until_won(attempt, f"record run {run.run_id}")

    def run(self, project: str, run_id: str) -> dict[str, Any]:
        pointer = self._items.get(f"{project}#run", run_id)
        if pointer is None:
            raise NotFound(f"project {project} has no run {run_id}")
        return _flat(self._present(f"{project}#runs", str(pointer["listed_as"])))

    def runs(self, project: str, limit: int = 50) -> list[dict[str, Any]]:
        return [_flat(item) for item in self._newest(f"{project}#runs", limit)]

    def record_tables(self, run: Run, tables: Sequence[TableVersion]) -> None:
        partition = f"{run.project}#tables"
        text = audit_chain.canonical(list(tables))

        def attempt() -> None:
            there = self._items.get(partition, run.run_id)
            if there is None:
                self._items.transact([Write(partition, run.run_id, {"record": text}, Absent())])
            elif there["record"] != text:
                raise _Taken(f"run {run.run_id} is already pinned to other data versions")

        self._until_won(attempt, f"pin the data versions of run {run.run_id}")

    def tables(self, run: Run) -> list[TableVersion] | None:
        item = self._items.get(f"{run.project}#tables", run.run_id)
        return None if item is None else [TableVersion.model_validate(entry) for entry in _record(item)]

    # -- versions ---------------------------------------------------------------------------------------------------

    def reserve_version(self, project: str, run_id: str) -> int:
        reservations, counters = f"{project}#reservations", f"{project}#counters"

        def attempt() -> int:
            reserved = self._items.get(reservations, run_id)
            if reserved is not None:
                return int(reserved["version"])
            counter = self._items.get(counters, "version")
            last = int(counter["last"]) if counter is not None else 0
            self._items.transact(
                [
                    Write(reservations, run_id, {"version": last + 1}, Absent()),
                    Write(counters, "version", {"last": last + 1}, Unchanged("last", last) if counter is not None else Absent()),
                ]
            )
            return last + 1

        return self._until_won(attempt, f"reserve a version for run {run_id}")

    def create_version(self, version: ModelVersion) -> ModelVersion:
        partition, sort = f"{version.project}#versions", _padded(version.version)

        def attempt() -> ModelVersion:
            there = self._items.get(partition, sort)
            if there is not None:
                found = ModelVersion.model_validate_json(str(there["record"]))
                if found.run_id != version.run_id:
                    raise _Taken(f"version {version.version} of {version.project} belongs to run {found.run_id}")
                return found
            attributes: Attributes = {
                "version": version.version,
                "run_id": version.run_id,
                "decision": version.decision,
                "record": audit_chain.canonical(version),
            }
            detail = version.model_dump(mode="json", include={"version", "run_id", "manifest_sha256", "signing_key", "decision"})
            event = self._audited(version.project, actor=f"run/{version.run_id}", action="register", detail=detail)
            self._items.transact([Write(partition, sort, attributes, Absent()), *event])
            return version

        return self._until_won(attempt, f"register version {version.version} of {version.project}")

    def version(self, project: str, version: int) -> ModelVersion:
        item = self._items.get(f"{project}#versions", _padded(version))
        if item is None:
            raise NotFound(f"project {project} has no registered version {version}")
        return ModelVersion.model_validate_json(str(item["record"]))

    def versions(self, project: str) -> list[ModelVersion]:
        items = self._items.query(f"{project}#versions", newest_first=True)
        return [ModelVersion.model_validate_json(str(item["record"])) for item in items]

    # -- endpoint and audit -----------------------------------------------------------------------------------------

    def endpoint(self, project: str) -> Endpoint:
        item = self._items.get(f"{project}#endpoint", "endpoint")
        return nobody(project) if item is None else Endpoint.model_validate_json(str(item["record"]))

    def alias(self, project: str, alias: str) -> ModelVersion:
        """The version an alias (``champion`` or ``challenger``) points to; NotFound when it points to none."""
        item = self._items.get(f"{project}#endpoint", f"alias#{alias}")
        if item is None or not item["version"]:
            raise NotFound(f"project {project} has no {alias}")
        return self.version(project, int(item["version"]))

    def move_endpoint(
        self,
        project: str,
        decide: Callable[[Endpoint], Endpoint | None],
        *,
        actor: str,
        action: str,
        reasons: Sequence[str] = (),
    ) -> Endpoint:
        def attempt() -> Endpoint:
            before = self.endpoint(project)
            wanted = decide(before)
            if wanted is None or same_state(before, wanted):
                return before
            check_move(before, wanted)
            manifests = {str(number): self.version(project, number).manifest_sha256 for number in versions_of(wanted)}
            settled = {"project": project, "revision": before.revision + 1, "updated_at": self._clock(), "manifests": manifests}
            after = wanted.model_copy(update=settled)
            detail = {"before": before, "after": after, "reasons": list(reasons)}
            event = self._audited(project, actor=actor, action=action, detail=detail)
            self._items.transact([*_moved(before, after), *event])
            return after

        return self._until_won(attempt, f"move the endpoint of {project}")

    def audit(self, project: str) -> list[AuditEvent]:
        sequence, head = self._head(project)
        items = self._items.query(f"{project}#audit", prefix="event#")
        events = [AuditEvent.model_validate_json(str(item["record"])) for item in items]
        audit_chain.verify(events, head_sequence=sequence, head_hash=head)
        return events

    def _head(self, project: str) -> tuple[int, str]:
        item = self._items.get(f"{project}#audit", "head")
        return (0, audit_chain.GENESIS) if item is None else (int(item["sequence"]), str(item["hash"]))

    def _audited(self, project: str, *, actor: str, action: str, detail: Mapping[str, Any]) -> list[Write]:
        """The writes that append one event to the chain, provided nobody else appends first."""
        partition = f"{project}#audit"
        sequence, head = self._head(project)
        event = audit_chain.link(
            project,
            sequence=sequence + 1,
            previous_hash=head,
            time=self._clock(),
            actor=actor,
            action=action,
            detail=detail,
        )
        attributes = {"record": audit_chain.canonical(event), "actor": actor, "action": action, "hash": event.hash}
        still = Unchanged("hash", head) if sequence else Absent()
        return [
            Write(partition, f"event#{event.sequence:010d}", attributes, Absent()),
            Write(partition, "head", {"sequence": event.sequence, "hash": event.hash}, still),
        ]

    # -- monitoring, retraining, ingestion --------------------------------------------------------------------------

    def record_monitoring(self, project: str, window_end: datetime, facts: dict[str, Any]) -> None:
        body = {"project": project, "window_end": _stamp(window_end), "recorded_at": _stamp(self._clock()), "facts": facts}
        self._items.transact([Write(f"{project}#monitoring", _stamp(window_end), {"record": audit_chain.canonical(body)})])

    def monitoring(self, project: str, limit: int = 50) -> list[dict[str, Any]]:
        return [_flat(item) for item in self._newest(f"{project}#monitoring", limit)]

    def record_retrain(
        self, project: str, event_id: str, decide: Callable[[Sequence[RetrainDecision]], RetrainDecision]
    ) -> RetrainDecision:
        events, listing = f"{project}#retrain", f"{project}#retrains"

        def attempt() -> RetrainDecision:
            there = self._items.get(events, f"event#{event_id}")
            if there is not None:
                return RetrainDecision.model_validate_json(str(there["record"]))
            head = self._items.get(events, "head")
            count = int(head["count"]) if head is not None else 0
            decision = decide(self.retrains(project))
            attributes = {"record": audit_chain.canonical(decision)}
            sort = f"{_stamp(decision.decided_at)}#{count + 1:010d}"
            self._items.transact(
                [
                    Write(events, f"event#{event_id}", attributes, Absent()),
                    Write(events, "head", {"count": count + 1}, Unchanged("count", count) if head is not None else Absent()),
                    Write(listing, sort, attributes, Absent()),
                ]
            )
            return decision

        return self._until_won(attempt, f"decide about event {event_id} of {project}")

    def retrains(self, project: str, limit: int = 50) -> list[RetrainDecision]:
        return [RetrainDecision.model_validate_json(str(item["record"])) for item in self._newest(f"{project}#retrains", limit)]

    def record_ingest(self, project: str, dataset: str, facts: dict[str, Any]) -> None:
        partition = f"{project}#ingest#{dataset}"
        digest = sha256(audit_chain.canonical(facts).encode()).hexdigest()

        def attempt() -> None:
            if self._items.get(partition, f"facts#{digest}") is not None:
                return
            now = _stamp(self._clock())
            body = {"project": project, "dataset": dataset, "recorded_at": now, "facts": facts}
            self._items.transact(
                [
                    Write(partition, f"facts#{digest}", {"recorded_at": now}, Absent()),
                    Write(partition, f"time#{now}#{digest}", {"record": audit_chain.canonical(body)}, Absent()),
                ]
            )

        self._until_won(attempt, f"record an ingest of {project}/{dataset}")

    def ingests(self, project: str, dataset: str, limit: int = 50) -> list[dict[str, Any]]:
        return [_flat(item) for item in self._newest(f"{project}#ingest#{dataset}", limit, prefix="time#")]

    # -- reading and racing -----------------------------------------------------------------------------------------

    def _newest(self, partition: str, limit: int, prefix: str = "") -> list[Attributes]:
        return list(islice(self._items.query(partition, prefix=prefix, newest_first=True), limit))

    def _present(self, partition: str, sort: str) -> Attributes:
        item = self._items.get(partition, sort)
        if item is None:
            raise IntegrityError(f"registry item {partition} {sort} is referred to but missing")
        return item

    def _until_won(self, attempt: Callable[[], T], what: str) -> T:
        """Repeat read, decide, write while somebody else wins the race; waits grow and are random, so contenders part."""
        for tries in range(_ATTEMPTS):
            try:
                return attempt()
            except _Taken:
                raise
            except Conflict:
                self._pause(random.uniform(0, min(_LONGEST_PAUSE, 0.005 * 2**tries)))  # noqa: S311 - spreads load, hides nothing
        raise Conflict(f"{what}: lost {_ATTEMPTS} races in a row")


class _Taken(Conflict):
    """What is wanted belongs to somebody else; trying again cannot change that."""


def _moved(before: Endpoint, after: Endpoint) -> list[Write]:
    """The endpoint and the aliases derived from it; an alias that nobody holds points to version 0."""
    partition = f"{after.project}#endpoint"
    still = Unchanged("revision", before.revision) if before.revision else Absent()
    attributes: Attributes = {"revision": after.revision, "record": audit_chain.canonical(after)}
    aliases = [
        Write(partition, f"alias#{alias}", {"alias": alias, "version": version or 0})
        for alias, version in (("champion", after.champion), ("challenger", after.challenger))
    ]
    return [Write(partition, "endpoint", attributes, still), *aliases]


def _stamp(moment: datetime) -> str:
    """UTC as text of fixed width, so that it sorts by time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _padded(version: int) -> str:
    return f"{version:010d}"


def _record(item: Attributes) -> Any:
    return json.loads(str(item["record"]))


def _flat(item: Attributes) -> dict[str, Any]:
    """A record with its facts beside its own fields (which win)."""
    body = _record(item)
    return {**body["facts"], **{name: value for name, value in body.items() if name != "facts"}}
