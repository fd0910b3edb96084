"""What an endpoint may look like and how it may change: rules that hold whoever moves it.

A registry applies them inside its transaction, so neither a stage nor a person can leave a project without the champion it had.
"""

from __future__ import annotations

from datetime import UTC, datetime

from driftless.errors import IllegalMove
from driftless.records import Endpoint

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def nobody(project: str) -> Endpoint:
    """The endpoint of a project that never served."""
    return Endpoint(project=project, updated_at=_NEVER)


def versions_of(endpoint: Endpoint) -> list[int]:
    """Versions an endpoint names, ascending."""
    named = (endpoint.champion, endpoint.challenger, endpoint.previous_champion)
    return sorted({version for version in named if version is not None})


def same_state(one: Endpoint, other: Endpoint) -> bool:
    """Whether two endpoints answer requests alike and remember the same past, whatever their revisions."""
    ignored = {"revision", "updated_at", "manifests", "project"}
    return one.model_dump(exclude=ignored) == other.model_dump(exclude=ignored)


def outdated(endpoint: Endpoint, than: Endpoint) -> bool:
    """Whether an endpoint is an earlier state than another: of a lower revision, and not decided later.

    A lower revision that was decided later is that of a registry restored from a backup, which counts on from there.
    """
    return endpoint.revision < than.revision and endpoint.updated_at <= than.updated_at


def check_move(before: Endpoint, after: Endpoint) -> None:
    """Refuse an endpoint that must not be.

    Raises
    ------
    IllegalMove
        When the project would lose its champion, serve a challenger with no champion beside it, let one version be both, or
        give the challenger a share outside 0 to 1 (or any share when there is no challenger).
    """
    where = f"endpoint of {before.project}"
    if after.champion is None and before.champion is not None:
        raise IllegalMove(f"{where}: version {before.champion} serves; a project that serves cannot be left without a champion")
    if after.challenger is not None and after.champion is None:
        raise IllegalMove(f"{where}: version {after.challenger} cannot be challenger where nobody is champion")
    if after.challenger is not None and after.challenger == after.champion:
        raise IllegalMove(f"{where}: version {after.challenger} cannot be champion and challenger at once")
    if not 0 <= after.challenger_weight <= 1:
        raise IllegalMove(f"{where}: challenger_weight {after.challenger_weight} is not between 0 and 1")
    if after.challenger is None and after.challenger_weight != 0:
        raise IllegalMove(f"{where}: challenger_weight {after.challenger_weight} without a challenger")
