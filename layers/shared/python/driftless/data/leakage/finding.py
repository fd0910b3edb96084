"""What a witness of the leak check has to say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A feature that leaks, the evidence in numbers, and what to do about it."""

    column: str
    evidence: str
    fix: str
