"""Combines signals into the two published levels, raised only when consecutive windows agree.

Inputs change all the time, with the season and the hour, so drift is an alert only when a given
share of the features drifted far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from driftless.records import Signal

Level = Literal[0, 1, 2]


def drift_level(features: Sequence[Signal], outputs: Sequence[Signal], drifted_share: float) -> Level:
    """Level of drift: 2 when at least ``drifted_share`` of the features are alerts.

    1 when any feature or output drifted, else 0.
    """
    alerts = sum(signal.level == 2 for signal in features)
    if features and alerts and alerts >= drifted_share * len(features):
        return 2
    return 1 if any(signal.level for signal in (*features, *outputs)) else 0


def harm_level(outcomes: Sequence[Signal]) -> Level:
    """The highest level of any outcome detector's signal."""
    return max((signal.level for signal in outcomes), default=0)


def persistent(level: Level, field: str, history: Sequence[Mapping[str, Any]], windows: int) -> Level:
    """The level that this window and the ``windows - 1`` before it reach; 0 with too few windows.

    Parameters
    ----------
    field : str
        Where a report keeps its own, not yet persistent, level.
    history : sequence of mapping
        Earlier reports, newest first.
    """
    earlier = [report.get(field, 0) for report in history[: windows - 1]]
    if len(earlier) < windows - 1:
        return 0
    lowest = min([level, *earlier])
    return 2 if lowest >= 2 else 1 if lowest == 1 else 0


def earlier_windows(reports: Sequence[Mapping[str, Any]], version: int, window_end: datetime) -> list[Mapping[str, Any]]:
    """Reports of windows that ended before this one, judged for the same version, newest first."""
    before = [report for report in reports if datetime.fromisoformat(str(report["window_end"])) < window_end]
    return [report for report in before if report.get("version") == version]
