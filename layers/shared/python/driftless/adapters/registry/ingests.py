"""What ingestion committed, by dataset."""

from __future__ import annotations

from hashlib import sha256

from driftless.adapters.items import Absent, Write
from driftless.adapters.registry.table import RegistryTable, flat, given
from driftless.core.iso_time import stamp
from driftless.modelling import audit_chain
from driftless.records import IngestFacts, RecordedIngest


class Ingests(RegistryTable):
    """IngestLog and IngestHistory."""

    def record_ingest(self, project: str, dataset: str, facts: IngestFacts) -> None:
        partition = f"{project}#ingest#{dataset}"
        committed = given(facts)
        digest = sha256(audit_chain.canonical(committed).encode()).hexdigest()

        def attempt() -> None:
            if self._items.get(partition, f"facts#{digest}") is not None:
                return
            now = stamp(self._clock())
            body = {"project": project, "dataset": dataset, "recorded_at": now, "facts": committed}
            self._items.transact(
                [
                    Write(partition, f"facts#{digest}", {"recorded_at": now}, Absent()),
                    Write(partition, f"time#{now}#{digest}", {"record": audit_chain.canonical(body)}, Absent()),
                ]
            )

        self._until_won(attempt, f"record an ingest of {project}/{dataset}")

    def ingests(self, project: str, dataset: str, limit: int = 50) -> list[RecordedIngest]:
        return [
            RecordedIngest.model_validate(flat(item))
            for item in self._newest(f"{project}#ingest#{dataset}", limit, prefix="time#")
        ]
