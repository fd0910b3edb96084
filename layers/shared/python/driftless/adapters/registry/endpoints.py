"""The endpoint and its aliases.

An endpoint moves together with its aliases, its audit event and the head of the chain, on condition that revision and head
are still those that were read: at any moment there is exactly one champion, and no move without its audit event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from driftless.adapters.items import Absent, Attributes, Unchanged, Write
from driftless.adapters.registry.versions import Versions
from driftless.errors import NotFound
from driftless.modelling import audit_chain
from driftless.modelling.endpoint import check_move, empty_endpoint, same_state, versions_of
from driftless.records import Endpoint, ModelVersion


class Endpoints(Versions):
    """EndpointReader and EndpointMover."""

    def endpoint(self, project: str) -> Endpoint:
        item = self._items.get(f"{project}#endpoint", "endpoint")
        return empty_endpoint(project) if item is None else Endpoint.model_validate_json(str(item["record"]))

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


def _moved(before: Endpoint, after: Endpoint) -> list[Write]:
    """The endpoint and the aliases derived from it; an alias without a version points to version 0."""
    partition = f"{after.project}#endpoint"
    still = Unchanged("revision", before.revision) if before.revision else Absent()
    attributes: Attributes = {"revision": after.revision, "record": audit_chain.canonical(after)}
    aliases = [
        Write(partition, f"alias#{alias}", {"alias": alias, "version": version or 0})
        for alias, version in (("champion", after.champion), ("challenger", after.challenger))
    ]
    return [Write(partition, "endpoint", attributes, still), *aliases]
