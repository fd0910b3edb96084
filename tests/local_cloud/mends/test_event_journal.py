"""The journal of what is owed takes all of a write or nothing of it, and goes on after one that failed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from local_cloud.mends.event_journal import EventJournal, LogEvent, LogStreamKey

KEY = LogStreamKey("000000000000", "us-east-1", "group", "stream", "filter", "arn:destination")
LINE = LogEvent("1", 0, "line")


def append(journal: EventJournal) -> None:
    journal.append_log_events(KEY, [LINE, LogEvent("2", 0, None)])  # type: ignore[arg-type] - refused in the middle


def turn(journal: EventJournal) -> None:
    journal.turn_log_events_into_invocation(KEY, 1, None, "")  # type: ignore[arg-type] - refused in the middle


@pytest.mark.parametrize("write", [append, turn])
def test_a_write_that_fails_leaves_nothing_and_does_not_block_the_next(
    tmp_path: Path, write: Callable[[EventJournal], None]
) -> None:
    journal = EventJournal(tmp_path / "journal.sqlite")
    journal.append_log_events(KEY, [LINE])
    with pytest.raises(sqlite3.IntegrityError):
        write(journal)
    assert journal.take_log_events(KEY, 10, 100) == ([LINE], 1)
    journal.append_log_events(KEY, [LINE])
    assert len(journal.take_log_events(KEY, 10, 100)[0]) == 2
    assert journal.owed() == []
