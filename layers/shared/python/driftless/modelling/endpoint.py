"""Rules for an endpoint: which states are valid and which changes are allowed.

A registry applies them in its transaction, so no step and no person can leave a project without the champion that it had.
"""

from __future__ import annotations

from datetime import UTC, datetime

from driftless.errors import IllegalMove
from driftless.records import Endpoint

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def empty_endpoint(project: str) -> Endpoint:
    """The endpoint of a project that never served."""
    return Endpoint(project=project, updated_at=_NEVER)


def versions_of(endpoint: Endpoint) -> list[int]:
    """Versions an endpoint names, ascending."""
    named = (endpoint.champion, endpoint.challenger, endpoint.previous_champion)
    return sorted({version for version in named if version is not None})


def same_state(one: Endpoint, other: Endpoint) -> bool:
    """Whether two endpoints serve the same versions and name the same previous champion, whatever their revisions."""
    ignored = {"revision", "updated_at", "manifests", "project"}
    return one.model_dump(exclude=ignored) == other.model_dump(exclude=ignored)


def outdated(endpoint: Endpoint, than: Endpoint) -> bool:
    """Whether an endpoint is an earlier state than another: of a lower revision, and not decided later.

    A lower revision that was decided later comes from a registry that was restored from a backup.
    """
    return endpoint.revision < than.revision and endpoint.updated_at <= than.updated_at


def check_move(before: Endpoint, after: Endpoint) -> None:
    """Refuse an invalid endpoint or change.

    Raises
    ------
    IllegalMove
        When the project would lose its champion, have a challenger without a champion, have one version as both, or give the
        challenger a weight outside 0 to 1 (or any weight when there is no challenger).
    """
    where = f"endpoint of {before.project}"
    if after.champion is None and before.champion is not None:
        raise IllegalMove(f"{where}: version {before.champion} serves; a project cannot lose its champion")
    if after.challenger is not None and after.champion is None:
        raise IllegalMove(f"{where}: version {after.challenger} cannot be challenger without a champion")
    if after.challenger is not None and after.challenger == after.champion:
        raise IllegalMove(f"{where}: version {after.challenger} cannot be champion and challenger at once")
    if not 0 <= after.challenger_weight <= 1:
        raise IllegalMove(f"{where}: challenger_weight {after.challenger_weight} is not between 0 and 1")
    if after.challenger is None and after.challenger_weight != 0:
        raise IllegalMove(f"{where}: challenger_weight {after.challenger_weight} without a challenger")
