"""Retraining decisions: each event is decided once, and decisions are made one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from driftless.adapters.items import Absent, Unchanged, Write
from driftless.adapters.registry.table import RegistryTable
from driftless.core.iso_time import stamp
from driftless.modelling import audit_chain
from driftless.records import RetrainDecision


class Retrains(RegistryTable):
    """RetrainDecisions and RetrainHistory."""

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
            sort = f"{stamp(decision.decided_at)}#{count + 1:010d}"
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
