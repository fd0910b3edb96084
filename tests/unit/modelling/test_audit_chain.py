"""The audit chain and its canonical form: any change anywhere is found, and the hash can be computed by anybody."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from driftless.errors import IntegrityError
from driftless.modelling.audit_chain import GENESIS, canonical, event_hash, link, verify
from driftless.records import AuditEvent

START = datetime(2026, 1, 1, tzinfo=UTC)


def chain(length: int) -> list[AuditEvent]:
    events: list[AuditEvent] = []
    for number in range(1, length + 1):
        event = link(
            "flights",
            sequence=number,
            previous_hash=events[-1].hash if events else GENESIS,
            time=START + timedelta(hours=number),
            actor="ann",
            action="promote",
            detail={"version": number, "weight": 0.1 + 0.2},
        )
        events.append(event)
    return events


def check(events: list[AuditEvent], head: AuditEvent | None = None) -> None:
    known = head or events[-1]
    verify(events, head_sequence=known.sequence, head_hash=known.hash)


def test_a_chain_as_it_was_written_verifies() -> None:
    check(chain(5))
    verify([], head_sequence=0, head_hash=GENESIS)


def test_a_chain_that_grew_after_its_head_was_read_verifies() -> None:
    events = chain(5)
    check(events, head=events[2])
    verify(events, head_sequence=0, head_hash=GENESIS)


def test_a_stored_chain_verifies_after_a_round_trip() -> None:
    check([AuditEvent.model_validate_json(canonical(event)) for event in chain(5)])


CHANGES: list[dict[str, Any]] = [
    {"actor": "bob"},
    {"action": "roll_back"},
    {"time": START},
    {"detail": {"version": 3, "weight": 0.3}},
    {"project": "cricket"},
    {"hash": "0" * 64},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
@pytest.mark.parametrize("place", [0, 2, 4])
def test_any_changed_field_of_any_event_is_found(change: dict[str, Any], place: int) -> None:
    events = chain(5)
    head = events[-1]
    events[place] = events[place].model_copy(update=change)
    with pytest.raises(IntegrityError, match=f"event {place + 1} was altered"):
        check(events, head)


def test_a_forger_who_recomputes_one_hash_is_found_at_the_next() -> None:
    events = chain(5)
    forged = events[2].model_copy(update={"actor": "bob", "hash": ""})
    events[2] = forged.model_copy(update={"hash": event_hash(forged)})
    with pytest.raises(IntegrityError, match="event 4 does not follow"):
        check(events)


def test_a_forger_who_recomputes_the_whole_tail_is_found_by_the_head() -> None:
    events = chain(5)
    head = events[-1]
    forged = events[-1].model_copy(update={"actor": "bob", "hash": ""})
    events[-1] = forged.model_copy(update={"hash": event_hash(forged)})
    with pytest.raises(IntegrityError, match="event 5 is not the one its head names"):
        check(events, head)


@pytest.mark.parametrize("gone", range(5))
def test_a_dropped_event_is_found(gone: int) -> None:
    events = chain(5)
    head = events[-1]
    del events[gone]
    with pytest.raises(IntegrityError, match=r"is missing|chain ends at event 4"):
        check(events, head)


def test_reordered_events_are_found() -> None:
    events = chain(5)
    events[1], events[2] = events[2], events[1]
    with pytest.raises(IntegrityError, match="event 2 is missing"):
        check(events)


def test_the_hash_is_plain_sha256_of_sorted_json() -> None:
    event = chain(1)[0]
    fields = event.model_dump(mode="json", exclude={"hash"})
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == event.hash


def test_canonical_json_has_one_text_for_one_value() -> None:
    assert canonical({"b": 1, "a": [1.0, 0.1 + 0.2, "ü", None, True]}) == '{"a":[1.0,0.30000000000000004,"ü",null,true],"b":1}'
    assert canonical({"x": float("nan"), "y": float("-inf")}) == '{"x":null,"y":null}'
    assert canonical({"at": START}) == '{"at":"2026-01-01T00:00:00Z"}'


@pytest.mark.parametrize("value", [5e-324, 1.7976931348623157e308, 2**-1074, 1e23, 123456789.123456789, -0.0, 1e16, 0.1])
def test_floats_survive_their_text_exactly(value: float) -> None:
    assert repr(json.loads(canonical([value]))[0]) == repr(value)
