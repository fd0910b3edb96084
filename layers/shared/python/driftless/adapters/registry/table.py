"""What every part of the registry shares: the table, the clock, and how a lost race is repeated."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from driftless.adapters.items import Attributes, Items
from driftless.core.clock import utc_now
from driftless.errors import Conflict, IntegrityError
from driftless.records import Stored

T = TypeVar("T")
_ATTEMPTS = 60
_LONGEST_PAUSE = 0.25


class Taken(Conflict):
    """The wanted item belongs to another run; trying again cannot change that."""


class RegistryTable:
    """A table of items, and reads and races over it.

    Parameters
    ----------
    items : Items
        The table.
    clock : callable, optional
        Returns the current time, timezone-aware, in UTC.
    pause : callable, optional
        Waits a number of seconds after a lost race.
    """

    def __init__(
        self, items: Items, *, clock: Callable[[], datetime] = utc_now, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._items = items
        self._clock = clock
        self._pause = pause

    def _newest(self, partition: str, limit: int, prefix: str = "") -> list[Attributes]:
        return list(islice(self._items.query(partition, prefix=prefix, newest_first=True), limit))

    def _present(self, partition: str, sort: str) -> Attributes:
        item = self._items.get(partition, sort)
        if item is None:
            raise IntegrityError(f"registry item {partition} {sort} is referred to but missing")
        return item

    def _until_won(self, attempt: Callable[[], T], what: str) -> T:
        """Repeat read, decide, write while another writer wins the race; pauses grow and are random."""
        for tries in range(_ATTEMPTS):
            try:
                return attempt()
            except Taken:
                raise
            except Conflict:
                self._pause(random.uniform(0, min(_LONGEST_PAUSE, 0.005 * 2**tries)))  # noqa: S311 - spreads load, hides nothing
        raise Conflict(f"{what}: lost {_ATTEMPTS} races in a row")


def padded(version: int) -> str:
    """A version number as text of fixed width, so that it sorts by number."""
    return f"{version:010d}"


def record(item: Attributes) -> Any:
    """The JSON that an item holds."""
    return json.loads(str(item["record"]))


def given(facts: Stored) -> dict[str, Any]:
    """Facts as JSON, without the fields that were not set."""
    return facts.model_dump(mode="json", exclude_unset=True)


def flat(item: Attributes) -> dict[str, Any]:
    """A record with its facts beside its own fields (which win)."""
    body = record(item)
    return {**body["facts"], **{name: value for name, value in body.items() if name != "facts"}}
