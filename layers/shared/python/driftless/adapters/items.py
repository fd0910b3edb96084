"""A table of items with conditional transactions: all that the registry needs of a database.

An item has a partition, a sort key, and attributes that are text or integers; anything else is kept as JSON text. DynamoDB's
own numbers do not distinguish 1 from 1.0, refuse 1e-200 and have no NaN, and a hash chain needs the exact text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from driftless.core.layout.tables import REGISTRY_PARTITION, REGISTRY_SORT
from driftless.errors import BadRequest

Attributes = Mapping[str, str | int]
LIMIT = 400 * 1024
"""DynamoDB's limit on one item, names and values together, in bytes."""


@dataclass(frozen=True)
class Absent:
    """Holds when there is no such item."""


@dataclass(frozen=True)
class Unchanged:
    """Holds when the item exists and its attribute has this value."""

    attribute: str
    value: str | int


@dataclass(frozen=True)
class Write:
    """Create or replace one item, if its condition holds. Items are never deleted."""

    partition: str
    sort: str
    attributes: Attributes
    condition: Absent | Unchanged | None = None


class Items(Protocol):
    """Strongly consistent reads and all-or-nothing conditional writes."""

    def get(self, partition: str, sort: str) -> Attributes | None:
        """One item, None when there is none."""

    def query(self, partition: str, *, prefix: str = "", newest_first: bool = False) -> Iterator[Attributes]:
        """Items of a partition whose sort key begins with ``prefix``, in its order; pages are fetched as they are consumed."""

    def transact(self, writes: Sequence[Write]) -> None:
        """All writes or none; Conflict when a condition does not hold, or another transaction writes the same items."""


def check_size(write: Write) -> None:
    """Raise BadRequest for an item over DynamoDB's limit, naming the item and its size."""
    texts = [*write.attributes, *map(str, write.attributes.values())]
    size = sum(len(text.encode()) for text in (REGISTRY_PARTITION, write.partition, REGISTRY_SORT, write.sort, *texts))
    if size > LIMIT:
        raise BadRequest(
            f"registry item {write.partition} {write.sort[:80]} has {size} bytes, the limit is {LIMIT}: "
            "keep the bulk in a bucket and register a reference to it"
        )
