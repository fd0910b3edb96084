"""Combines signals into the two published levels, raised only when consecutive windows agree.

Inputs change all the time, with the season and the hour, so drift is an alert only when a given
share of the features drifted far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from driftless.records import Level, Signal, Trigger, WindowReport

ALERT = 2


@dataclass(frozen=True)
class Levels:
    """Levels of drift and of harm."""

    drift: Level
    harm: Level


def drift_level(features: Sequence[Signal], outputs: Sequence[Signal], drifted_share: float) -> Level:
    """Level of drift: 2 when at least ``drifted_share`` of the features are alerts.

    1 when any feature or output drifted, else 0.
    """
    alerts = sum(signal.level == ALERT for signal in features)
    if features and alerts and alerts >= drifted_share * len(features):
        return 2
    return 1 if any(signal.level for signal in (*features, *outputs)) else 0


def harm_level(outcomes: Sequence[Signal]) -> Level:
    """Level of harm: the highest of any outcome detector's signal."""
    return max((signal.level for signal in outcomes), default=0)


def persistent_levels(own: Levels, earlier: Sequence[WindowReport], windows: int) -> Levels:
    """Levels that this window (``own``) and the ``windows - 1`` before it reach.

    Parameters
    ----------
    earlier : sequence of WindowReport
        As :func:`earlier_windows` returns them.
    """
    return Levels(
        drift=persistent(own.drift, [report.window_drift_level for report in earlier], windows),
        harm=persistent(own.harm, [report.window_harm_level for report in earlier], windows),
    )


def persistent(level: Level, history: Sequence[Level], windows: int) -> Level:
    """The level that this window and the ``windows - 1`` before it reach; 0 with too few windows.

    Parameters
    ----------
    history : sequence of int
        Levels of the earlier windows alone, newest first.
    """
    earlier = history[: windows - 1]
    if len(earlier) < windows - 1:
        return 0
    return min(level, *earlier) if earlier else level


def earlier_windows(reports: Sequence[WindowReport], version: int, window_end: datetime) -> list[WindowReport]:
    """Reports of windows that ended before this one, judged for the same version, newest first."""
    return [report for report in reports if report.window_end < window_end and report.version == version]


def still_raised(levels: Levels, reports: Sequence[WindowReport], triggers: Sequence[str]) -> list[Trigger]:
    """Which levels are alerts here and in the report made last, and trigger a retraining.

    The report made last may be of any window. An alarm reports changes only, so it is silent about
    these.
    """
    last = max(reports, key=lambda report: report.recorded_at, default=None)
    if last is None:
        return []
    now: dict[Trigger, Level] = {"harm": levels.harm, "drift": levels.drift}
    return [name for name, level in now.items() if level == last.level(name) == ALERT and name in triggers]
