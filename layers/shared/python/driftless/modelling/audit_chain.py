"""The audit chain: an append-only list of events, each with the hash of the event before it.

An event that is changed, dropped or moved breaks a hash that a later event repeats, or the head that is stored with the chain.
The hash is taken over canonical JSON (sorted keys, no spaces, UTF-8), so any language can verify the stored events.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from driftless.errors import IntegrityError
from driftless.records import AuditEvent

GENESIS = "0" * 64
"""``previous_hash`` of a project's first event."""


def canonical(value: Any) -> str:
    """One text per value: JSON with sorted keys, no spaces, and only the escapes that JSON requires.

    Times become ISO text and records their fields. Numbers that JSON does not know (NaN and the infinities) become null, as in
    every record of Driftless.
    """
    plain = json.loads(to_json(value, inf_nan_mode="null"))
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def event_hash(event: AuditEvent) -> str:
    """sha256 (hex) over all fields but ``hash`` itself."""
    return hashlib.sha256(canonical(event.model_dump(mode="json", exclude={"hash"})).encode()).hexdigest()


def link(
    project: str, *, sequence: int, previous_hash: str, time: datetime, actor: str, action: str, detail: Mapping[str, Any]
) -> AuditEvent:
    """The next event of a chain, with its hash.

    Parameters
    ----------
    sequence : int
        1 for the first event, one more for each later one.
    previous_hash : str
        Hash of the event before, :data:`GENESIS` for the first.
    """
    event = AuditEvent(
        project=project,
        sequence=sequence,
        time=time,
        actor=actor,
        action=action,
        detail=json.loads(canonical(detail)),
        previous_hash=previous_hash,
        hash="",
    )
    return event.model_copy(update={"hash": event_hash(event)})


def verify(events: Sequence[AuditEvent], *, head_sequence: int, head_hash: str) -> None:
    """Check a whole chain against the head that was read before it.

    Parameters
    ----------
    events : sequence of AuditEvent
        Oldest first. It may be longer than the head says: events may be appended between the two reads.
    head_sequence, head_hash : int, str
        The newest event known to the head; 0 and :data:`GENESIS` when there is none.

    Raises
    ------
    IntegrityError
        Naming the first event that is missing, altered or out of place.
    """
    previous, hash_at_head = GENESIS, GENESIS
    for expected, event in enumerate(events, start=1):
        where = f"audit chain of {event.project}, event {expected}"
        if event.sequence != expected:
            raise IntegrityError(f"{where} is missing (found {event.sequence} in its place)")
        if event.previous_hash != previous:
            raise IntegrityError(f"{where} does not follow the event before it")
        if event.hash != event_hash(event):
            raise IntegrityError(f"{where} was altered")
        previous = event.hash
        if expected == head_sequence:
            hash_at_head = event.hash
    if len(events) < head_sequence:
        raise IntegrityError(f"audit chain ends at event {len(events)}, its head says {head_sequence}")
    if hash_at_head != head_hash:
        raise IntegrityError(f"audit chain: event {head_sequence} is not the one its head names")
