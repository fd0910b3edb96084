"""What is raised: from many signals to two levels, and only when consecutive windows agree.

Inputs move all the time, with the season and the hour, so drift is an alert only when a good share of the features moved far.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from driftless.records import Level, Signal, WindowReport


def drift_level(features: Sequence[Signal], outputs: Sequence[Signal], drifted_share: float) -> Level:
    """2 when at least ``drifted_share`` of the features are alerts, 1 when any feature or output drifted, else 0."""
    alerts = sum(signal.level == 2 for signal in features)
    if features and alerts and alerts >= drifted_share * len(features):
        return 2
    return 1 if any(signal.level for signal in (*features, *outputs)) else 0


def harm_level(outcomes: Sequence[Signal]) -> Level:
    """The highest level of any outcome detector's signal."""
    return max((signal.level for signal in outcomes), default=0)


def persistent(level: Level, history: Sequence[Level], windows: int) -> Level:
    """The level that this window and the ``windows - 1`` before it all reach; 0 while there are too few.

    Parameters
    ----------
    history : sequence of int
        Levels of the earlier windows alone, newest first.
    """
    earlier = history[: windows - 1]
    if len(earlier) < windows - 1:
        return 0
    lowest = min([level, *earlier])
    return 2 if lowest >= 2 else 1 if lowest == 1 else 0


def earlier_windows(reports: Sequence[WindowReport], version: int, window_end: datetime) -> list[WindowReport]:
    """Reports of windows that ended before this one, judged for the same version, newest first."""
    return [report for report in reports if report.window_end < window_end and report.version == version]
