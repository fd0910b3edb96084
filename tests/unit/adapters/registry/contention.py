"""Contenders for one table in memory, interleaved by a seeded scheduler.

The scheduler lets one contender at a time take one step: a read, a query or a transaction. The same seed gives the same
interleaving.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from driftless.adapters.items import Attributes, Items, Write
from driftless.adapters.registry import TableRegistry
from driftless.errors import Conflict
from tests.unit.adapters.registry.conftest import Ticks


class Turns:
    """Lets one contender at a time run to its next table operation, in an order drawn from a seed."""

    def __init__(self, contenders: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._turn = threading.Condition()
        self._waiting: set[int] = set()
        self._alive = set(range(contenders))
        self._chosen: int | None = None

    def step(self, contender: int) -> None:
        """Wait to be chosen for one operation."""
        with self._turn:
            self._waiting.add(contender)
            self._choose()
            assert self._turn.wait_for(lambda: self._chosen == contender, timeout=30)
            self._waiting.discard(contender)
            self._chosen = None

    def leave(self, contender: int) -> None:
        with self._turn:
            self._alive.discard(contender)
            self._choose()

    def _choose(self) -> None:
        if self._chosen is None and self._waiting == self._alive and self._waiting:
            self._chosen = self._random.choice(sorted(self._waiting))
            self._turn.notify_all()


class Stepped:
    """The same items, each operation waiting for its contender's turn; counts lost transactions."""

    def __init__(self, items: Items, turns: Turns, contender: int) -> None:
        self._items, self._turns, self._contender = items, turns, contender
        self.lost = 0

    def get(self, partition: str, sort: str) -> Attributes | None:
        self._turns.step(self._contender)
        return self._items.get(partition, sort)

    def query(self, partition: str, *, prefix: str = "", newest_first: bool = False) -> Iterator[Attributes]:
        self._turns.step(self._contender)
        return self._items.query(partition, prefix=prefix, newest_first=newest_first)

    def transact(self, writes: Sequence[Write]) -> None:
        self._turns.step(self._contender)
        try:
            self._items.transact(writes)
        except Conflict:
            self.lost += 1
            raise


def contend(seed: int, items: Items, work: Callable[[TableRegistry, int], None], contenders: int) -> int:
    """Run ``work`` for each contender under one interleaving; how many transactions were lost."""
    turns = Turns(contenders, seed)
    tables = [Stepped(items, turns, number) for number in range(contenders)]

    def play(number: int) -> None:
        try:
            work(TableRegistry(tables[number], clock=Ticks(), pause=lambda seconds: None), number)
        finally:
            turns.leave(number)

    with ThreadPoolExecutor(contenders) as pool:
        for done in [pool.submit(play, number) for number in range(contenders)]:
            done.result(timeout=60)
    return sum(table.lost for table in tables)
