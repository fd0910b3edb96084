"""What starts each machine, and a script in which every stage answers."""

from __future__ import annotations

from typing import Any

from tests.workflows.answers import answers
from tests.workflows.machine import Script

LANDED = {"detail": {"bucket": {"name": "landing"}, "object": {"key": "flights/flights/a.csv", "version-id": "v1"}}}
TRAIN = {"project": "flights", "reason": "manual", "requested_by": "a person"}
MONITOR = {"project": "flights", "window_end": "2013-06-01T00:00:00Z"}
INPUTS: dict[str, dict[str, Any]] = {"ingest": LANDED, "train_and_deploy": TRAIN, "monitor": MONITOR}


def happy(candidates: int = 1) -> Script:
    """Every stage succeeds at once."""
    return Script(answers(candidates))
