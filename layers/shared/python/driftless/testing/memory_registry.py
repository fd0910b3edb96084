"""The registry and the smaller ports in memory, for tests: the same contract suite runs against them and the AWS adapters.

The registry's logic is that of DynamoDB's adapter; only the table is a dictionary with a lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from driftless.adapters.items import Absent, Attributes, Unchanged, Write, check_size
from driftless.adapters.registry import TableRegistry
from driftless.core.clock import utc_now
from driftless.errors import Conflict


class MemoryItems:
    """A table of items in a dictionary; transactions are serial."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Attributes] = {}
        self._lock = threading.Lock()

    def get(self, partition: str, sort: str) -> Attributes | None:
        with self._lock:
            return self._rows.get((partition, sort))

    def query(self, partition: str, *, prefix: str = "", newest_first: bool = False) -> Iterator[Attributes]:
        with self._lock:
            keys = sorted(key for key in self._rows if key[0] == partition and key[1].startswith(prefix))
            found = [self._rows[key] for key in keys]
        return iter(found[::-1] if newest_first else found)

    def transact(self, writes: Sequence[Write]) -> None:
        for write in writes:
            check_size(write)
        with self._lock:
            for write in writes:
                if not self._holds(write):
                    raise Conflict(f"write {write.partition} {write.sort}: the condition does not hold")
            for write in writes:
                self._rows[write.partition, write.sort] = dict(write.attributes)

    def _holds(self, write: Write) -> bool:
        row = self._rows.get((write.partition, write.sort))
        if isinstance(write.condition, Absent):
            return row is None
        if isinstance(write.condition, Unchanged):
            return row is not None and row.get(write.condition.attribute) == write.condition.value
        return True


class MemoryRegistry(TableRegistry):
    """The Registry port in memory.

    Parameters
    ----------
    items : Items, optional
        The table underneath, an empty one by default.
    clock, pause : callable, optional
        As of :class:`~driftless.adapters.registry.TableRegistry`.
    """

    def __init__(
        self,
        items: MemoryItems | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(items if items is not None else MemoryItems(), clock=clock, pause=pause)


class MemorySigner:
    """The Signer port with a key of its own, made with the object."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def sign(self, content: bytes) -> bytes:
        return self._key.sign(content, ec.ECDSA(hashes.SHA256()))

    def public_key(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.DER, form)


class MemoryWorkflow:
    """The Workflow port: executions run until a test removes them from ``active``."""

    def __init__(self) -> None:
        self.started: dict[str, dict[str, Any]] = {}
        self.active: list[str] = []

    def start(self, name: str, payload: dict[str, Any]) -> str:
        if name not in self.started:
            self.started[name] = payload
            self.active.append(name)
        return f"arn:aws:states:us-east-1:000000000000:execution:train:{name}"

    def running(self) -> list[str]:
        return list(self.active)


class MemoryMetrics:
    """The MetricSink and MetricReader ports: every publication is kept with its time."""

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.published: list[tuple[datetime, dict[str, float], dict[str, str]]] = []
        self._clock = clock

    def publish(self, metrics: dict[str, float], dimensions: dict[str, str]) -> None:
        self.published.append((self._clock(), dict(metrics), dict(dimensions)))

    def minutes(self, name: str, dimensions: dict[str, str], since: datetime, until: datetime) -> dict[datetime, float]:
        found: dict[datetime, float] = {}
        for moment, metrics, where in self.published:
            if since <= moment < until and where == dimensions and name in metrics:
                minute = moment.replace(second=0, microsecond=0)
                found[minute] = found.get(minute, 0.0) + metrics[name]
        return found
