"""Runs, and the data versions that each is pinned to."""

from __future__ import annotations

from collections.abc import Sequence

from driftless.adapters.items import Absent, Attributes, Unchanged, Write
from driftless.adapters.registry.table import RegistryTable, Taken, flat, given, record
from driftless.core.iso_time import stamp
from driftless.errors import NotFound
from driftless.modelling import audit_chain
from driftless.records import RecordedRun, Run, RunFacts, TableVersion


class Runs(RegistryTable):
    """RunLog, RunReader, RunHistory and TablePins."""

    def record_run(self, run: Run, facts: RunFacts) -> None:
        changes = given(facts)
        pointers, listing = f"{run.project}#run", f"{run.project}#runs"

        def attempt() -> None:
            pointer = self._items.get(pointers, run.run_id)
            if pointer is None:
                now = self._clock()
                sort = f"{stamp(now)}#{run.run_id}"
                body = {**run.model_dump(mode="json"), "recorded_at": stamp(now), "facts": changes}
                first: Attributes = {"record": audit_chain.canonical(body), "revision": 1}
                self._items.transact(
                    [Write(pointers, run.run_id, {"listed_as": sort}, Absent()), Write(listing, sort, first, Absent())]
                )
                return
            sort = str(pointer["listed_as"])
            item = self._present(listing, sort)
            body = record(item)
            body["facts"] = {**body["facts"], **changes}
            text = audit_chain.canonical(body)
            if text != item["record"]:
                revision = int(item["revision"])
                changed: Attributes = {"record": text, "revision": revision + 1}
                self._items.transact([Write(listing, sort, changed, Unchanged("revision", revision))])

        self._until_won(attempt, f"record run {run.run_id}")

    def run(self, project: str, run_id: str) -> RecordedRun:
        pointer = self._items.get(f"{project}#run", run_id)
        if pointer is None:
            raise NotFound(f"project {project} has no run {run_id}")
        return RecordedRun.model_validate(flat(self._present(f"{project}#runs", str(pointer["listed_as"]))))

    def runs(self, project: str, limit: int = 50) -> list[RecordedRun]:
        return [RecordedRun.model_validate(flat(item)) for item in self._newest(f"{project}#runs", limit)]

    def record_tables(self, run: Run, tables: Sequence[TableVersion]) -> None:
        partition = f"{run.project}#tables"
        text = audit_chain.canonical(list(tables))

        def attempt() -> None:
            there = self._items.get(partition, run.run_id)
            if there is None:
                self._items.transact([Write(partition, run.run_id, {"record": text}, Absent())])
            elif there["record"] != text:
                raise Taken(f"run {run.run_id} is already pinned to other data versions")

        self._until_won(attempt, f"pin the data versions of run {run.run_id}")

    def tables(self, run: Run) -> list[TableVersion] | None:
        item = self._items.get(f"{run.project}#tables", run.run_id)
        return None if item is None else [TableVersion.model_validate(entry) for entry in record(item)]
