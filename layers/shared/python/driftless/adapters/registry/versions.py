"""Registered model versions and their numbers."""

from __future__ import annotations

from driftless.adapters.items import Absent, Attributes, Unchanged, Write
from driftless.adapters.registry.audit import Audited
from driftless.adapters.registry.table import Taken, padded
from driftless.errors import NotFound
from driftless.modelling import audit_chain
from driftless.records import ModelVersion


class Versions(Audited):
    """VersionRegistration, VersionReader and VersionHistory."""

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
        partition, sort = f"{version.project}#versions", padded(version.version)

        def attempt() -> ModelVersion:
            there = self._items.get(partition, sort)
            if there is not None:
                found = ModelVersion.model_validate_json(str(there["record"]))
                if found.run_id != version.run_id:
                    raise Taken(f"version {version.version} of {version.project} belongs to run {found.run_id}")
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
        item = self._items.get(f"{project}#versions", padded(version))
        if item is None:
            raise NotFound(f"project {project} has no registered version {version}")
        return ModelVersion.model_validate_json(str(item["record"]))

    def versions(self, project: str) -> list[ModelVersion]:
        items = self._items.query(f"{project}#versions", newest_first=True)
        return [ModelVersion.model_validate_json(str(item["record"])) for item in items]
