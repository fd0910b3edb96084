"""The audit chain: its events, and the writes that append one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftless.adapters.items import Absent, Unchanged, Write
from driftless.adapters.registry.table import RegistryTable
from driftless.modelling import audit_chain
from driftless.records import AuditEvent


class Audited(RegistryTable):
    """AuditReader, and the base of the parts that append events."""

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
        """The writes that append one event to the chain, on condition that no other writer appends first."""
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
