"""The queue of undelivered events on disk: writes are atomic, and its file format does not change."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_cloud.mends.delivery.undelivered_events import Invocation, LogEvent, LogStreamKey, UndeliveredEvents

KEY = LogStreamKey("000000000000", "us-east-1", "group", "stream", "filter", "arn:destination")
LINE = LogEvent("1", 0, "line")
MISSING: Any = None
"""A value that the database rejects after the write has begun."""


def append(undelivered: UndeliveredEvents) -> None:
    undelivered.append_log_events(KEY, [LINE, LogEvent("2", 0, MISSING)])


def replace(undelivered: UndeliveredEvents) -> None:
    undelivered.replace_log_events_by_invocation(KEY, 1, MISSING, "")


@pytest.mark.parametrize("write", [append, replace])
def test_a_failed_write_is_rolled_back_and_does_not_block_the_next(
    tmp_path: Path, write: Callable[[UndeliveredEvents], None]
) -> None:
    undelivered = UndeliveredEvents(tmp_path / "undelivered.sqlite")
    undelivered.append_log_events(KEY, [LINE])
    with pytest.raises(sqlite3.IntegrityError):
        write(undelivered)
    assert undelivered.read_log_events(KEY, 10, 100) == ([LINE], 1)
    undelivered.append_log_events(KEY, [LINE])
    assert len(undelivered.read_log_events(KEY, 10, 100)[0]) == 2
    assert undelivered.pending() == []


#: Tables as releases before the class was named ``UndeliveredEvents`` created them.
EARLIER_FILE = """
CREATE TABLE invocations (id INTEGER PRIMARY KEY AUTOINCREMENT, function_arn TEXT NOT NULL, payload TEXT NOT NULL,
    order_key TEXT NOT NULL, depth INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, accepted_at REAL NOT NULL);
CREATE TABLE log_events (id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, region TEXT NOT NULL,
    log_group TEXT NOT NULL, log_stream TEXT NOT NULL, filter_name TEXT NOT NULL, destination TEXT NOT NULL,
    event_id TEXT NOT NULL, timestamp INTEGER NOT NULL, message TEXT NOT NULL);
CREATE TABLE deliveries (id INTEGER PRIMARY KEY AUTOINCREMENT, document TEXT NOT NULL);
INSERT INTO invocations VALUES (3, 'arn:function', '{"n": 1}', 'key', 2, 1, 1.5);
INSERT INTO log_events VALUES
    (4, '000000000000', 'us-east-1', 'group', 'stream', 'filter', 'arn:destination', '1', 0, 'line');
INSERT INTO deliveries VALUES (5, '{"token": "t"}');
"""


def test_events_in_a_file_of_an_earlier_release_are_still_pending(tmp_path: Path) -> None:
    path = tmp_path / "undelivered.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(EARLIER_FILE)
    undelivered = UndeliveredEvents(path)
    assert undelivered.pending() == [Invocation(3, "arn:function", "key", 2, 1, 1.5)]
    assert undelivered.payload(3) == '{"n": 1}'
    assert undelivered.waiting_log_streams() == [KEY]
    assert undelivered.read_log_events(KEY, 10, 100) == ([LINE], 4)
    assert undelivered.pending_deliveries() == [(5, '{"token": "t"}')]
