"""A queue on disk of events that were accepted and are not yet delivered.

AWS returns 202 for an asynchronous invocation only after it has stored the event, and it keeps log events for a
subscriber until they are delivered. The embedded cloud gives the same guarantee: it writes each accepted event here
before it sends the response, and removes it only after delivery. After a crash an event may be delivered twice, but
no event is lost.

SQLite in WAL mode with ``synchronous=NORMAL`` is sufficient: a commit has reached the operating system when the call
returns, so it survives the death of the process.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS invocations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    function_arn TEXT NOT NULL,
    payload TEXT NOT NULL,
    order_key TEXT NOT NULL,
    depth INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    accepted_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS log_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    log_group TEXT NOT NULL,
    log_stream TEXT NOT NULL,
    filter_name TEXT NOT NULL,
    destination TEXT NOT NULL,
    event_id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    message TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS log_events_by_stream ON log_events (log_group, filter_name, log_stream, id);
"""


@dataclass(frozen=True)
class Invocation:
    """One asynchronous invocation that is not yet delivered.

    Attributes
    ----------
    id : int
        Row id, which increases in the order of acceptance.
    function_arn : str
        The ARN that the caller used, with its version or alias if it has one.
    order_key : str
        Invocations of one function with the same non-empty key are delivered one after another.
    depth : int
        The number of chained Lambda invocations before this one, for recursive loop detection.
    attempts : int
        Attempts that ended in a function error.
    accepted_at : float
        Seconds since the epoch.
    """

    id: int
    function_arn: str
    order_key: str
    depth: int
    attempts: int
    accepted_at: float


@dataclass(frozen=True)
class LogStreamKey:
    """The log stream that matched log events come from, and the subscriber that gets them."""

    account: str
    region: str
    log_group: str
    log_stream: str
    filter_name: str
    destination: str


@dataclass(frozen=True)
class LogEvent:
    """One log event as its subscriber gets it: a stable id, milliseconds since the epoch, and the line."""

    event_id: str
    timestamp: int
    message: str


class UndeliveredEvents:
    """Invocations, deliveries to rules' targets, and matched log events that wait for their batch.

    Parameters
    ----------
    path : pathlib.Path
        The SQLite file; its folder is created if needed.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def accept(self, function_arn: str, payload: str, *, order_key: str = "", depth: int = 0) -> Invocation:
        """Store one invocation and return it."""
        now = time.time()
        with self._lock:
            row_id = self._insert_invocation(function_arn, payload, order_key, depth, now)
        return Invocation(row_id, function_arn, order_key, depth, 0, now)

    def _insert_invocation(self, function_arn: str, payload: str, order_key: str, depth: int, now: float) -> int:
        cursor = self._connection.execute(
            "INSERT INTO invocations (function_arn, payload, order_key, depth, accepted_at) VALUES (?, ?, ?, ?, ?)",
            (function_arn, payload, order_key, depth, now),
        )
        return int(cursor.lastrowid or 0)

    def pending(self) -> list[Invocation]:
        """Return all stored invocations, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT id, function_arn, order_key, depth, attempts, accepted_at FROM invocations ORDER BY id"
            ).fetchall()
        return [Invocation(*row) for row in rows]

    def payload(self, invocation_id: int) -> str:
        """Return the stored event as JSON text."""
        with self._lock:
            (payload,) = self._connection.execute("SELECT payload FROM invocations WHERE id = ?", (invocation_id,)).fetchone()
        return str(payload)

    def record_attempts(self, invocation_id: int, attempts: int) -> None:
        """Store the number of failed attempts, so that a restart does not reset it."""
        with self._lock:
            self._connection.execute("UPDATE invocations SET attempts = ? WHERE id = ?", (attempts, invocation_id))

    def remove(self, invocation_id: int) -> None:
        """Remove an invocation that was delivered or given up."""
        with self._lock:
            self._connection.execute("DELETE FROM invocations WHERE id = ?", (invocation_id,))

    def accept_delivery(self, document: str) -> int:
        """Store one delivery to a rule's target, given as JSON text, and return its row id."""
        with self._lock:
            cursor = self._connection.execute("INSERT INTO deliveries (document) VALUES (?)", (document,))
        return int(cursor.lastrowid or 0)

    def pending_deliveries(self) -> list[tuple[int, str]]:
        """Return the row id and the JSON text of all stored deliveries, oldest first."""
        with self._lock:
            return self._connection.execute("SELECT id, document FROM deliveries ORDER BY id").fetchall()

    def remove_delivery(self, delivery_id: int) -> None:
        """Remove a delivery that was made or given up."""
        with self._lock:
            self._connection.execute("DELETE FROM deliveries WHERE id = ?", (delivery_id,))

    def append_log_events(self, key: LogStreamKey, events: Sequence[LogEvent]) -> None:
        """Store matched log events in the order given."""
        rows = [
            (
                key.account,
                key.region,
                key.log_group,
                key.log_stream,
                key.filter_name,
                key.destination,
                event.event_id,
                event.timestamp,
                event.message,
            )
            for event in events
        ]
        with self._transaction():
            self._connection.executemany(
                "INSERT INTO log_events (account, region, log_group, log_stream, filter_name, destination, "
                "event_id, timestamp, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit all writes of the block, or roll all back; a transaction left open would block the next one."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have rolled it back already
                    self._connection.execute("ROLLBACK")
                raise

    def waiting_log_streams(self) -> list[LogStreamKey]:
        """Return the streams that have waiting log events, the one with the oldest event first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT account, region, log_group, log_stream, filter_name, destination FROM log_events "
                "GROUP BY account, region, log_group, log_stream, filter_name, destination ORDER BY MIN(id)"
            ).fetchall()
        return [LogStreamKey(*row) for row in rows]

    def read_log_events(self, key: LogStreamKey, limit: int, max_characters: int) -> tuple[list[LogEvent], int]:
        """Read the first waiting events of a stream without removing them.

        Returns
        -------
        tuple of (list of LogEvent, int)
            At least one event, at most ``limit`` events and about ``max_characters`` in total; and the last row id.
        """
        with self._lock:
            rows = self._connection.execute(
                "SELECT id, event_id, timestamp, message FROM log_events WHERE account = ? AND region = ? "
                "AND log_group = ? AND log_stream = ? AND filter_name = ? AND destination = ? ORDER BY id LIMIT ?",
                (
                    key.account,
                    key.region,
                    key.log_group,
                    key.log_stream,
                    key.filter_name,
                    key.destination,
                    limit,
                ),
            ).fetchall()
        found: list[LogEvent] = []
        last = 0
        size = 0
        for row_id, event_id, timestamp, message in rows:
            size += len(message)
            if found and size > max_characters:
                break
            found.append(LogEvent(event_id, timestamp, message))
            last = row_id
        return found, last

    def replace_log_events_by_invocation(self, key: LogStreamKey, last: int, payload: str, order_key: str) -> Invocation:
        """Replace a stream's events up to row ``last`` by the invocation that delivers them, in one transaction."""
        now = time.time()
        with self._transaction():
            self._connection.execute(
                "DELETE FROM log_events WHERE account = ? AND region = ? AND log_group = ? AND log_stream = ? "
                "AND filter_name = ? AND destination = ? AND id <= ?",
                (key.account, key.region, key.log_group, key.log_stream, key.filter_name, key.destination, last),
            )
            row_id = self._insert_invocation(key.destination, payload, order_key, 0, now)
        return Invocation(row_id, key.destination, order_key, 0, 0, now)
