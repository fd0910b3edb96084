"""What a test of the leak check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A feature that leaks, the evidence in numbers, and what to do about it."""

    column: str
    evidence: str
    fix: str
