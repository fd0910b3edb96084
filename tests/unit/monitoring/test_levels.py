"""From signals to levels, and persistence over windows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from driftless.modelling.intervals import Interval
from driftless.monitoring.detectors.harm import harm_signal
from driftless.monitoring.levels import drift_level, earlier_windows, persistent
from driftless.records import Signal, WindowReport


def signals(*levels: int) -> list[Signal]:
    fixed: dict[str, Any] = {"statistic": "psi", "value": 0.0, "threshold": 0.1, "reason": ""}
    return [Signal.model_validate({"name": str(index), "level": level, **fixed}) for index, level in enumerate(levels)]


@pytest.mark.parametrize(
    ("features", "outputs", "expected"),
    [
        ((0, 0, 0), (0,), 0),
        ((1, 0, 0), (0,), 1),
        ((0, 0, 0), (1,), 1),
        ((2, 0, 0, 0), (0,), 1),
        ((2, 0, 0), (0,), 2),
        ((1, 1, 1), (1,), 1),
        ((), (), 0),
    ],
)
def test_drift_is_an_alert_only_when_a_share_of_the_features_are_alerts(
    features: tuple[int, ...], outputs: tuple[int, ...], expected: int
) -> None:
    assert drift_level(signals(*features), signals(*outputs), 0.3) == expected


@pytest.mark.parametrize(
    ("level", "history", "windows", "expected"),
    [
        (2, [], 1, 2),
        (2, [0], 1, 2),
        (2, [], 2, 0),
        (2, [2], 2, 2),
        (2, [1], 2, 1),
        (2, [2, 0], 2, 2),
        (2, [0, 2], 2, 0),
        (1, [2, 2], 3, 1),
        (0, [2, 2], 3, 0),
        (2, [2], 3, 0),
    ],
)
def test_a_level_is_raised_when_consecutive_windows_reach_it(level: Any, history: list[Any], windows: int, expected: int) -> None:
    assert persistent(level, history, windows) == expected


def test_history_holds_earlier_windows_of_the_same_version() -> None:
    windows = ((7, 2), (6, 2), (5, 1), (4, 2))
    ends = {month: datetime(2013, month, 1, tzinfo=UTC) for month, _ in windows}
    reports = [
        WindowReport(project="demo", window_end=ends[month], recorded_at=ends[month], version=version)
        for month, version in windows
    ]
    found = earlier_windows(reports, 2, datetime(2013, 7, 1, tzinfo=UTC))
    assert [report.window_end.month for report in found] == [6, 4]


@pytest.mark.parametrize(
    ("metric", "interval", "expected"),
    [
        ("log_loss", Interval(0.50, 0.45, 0.56, 30), 0),
        ("log_loss", Interval(0.55, 0.51, 0.60, 30), 1),
        ("log_loss", Interval(0.58, 0.54, 0.62, 30), 2),
        ("log_loss", Interval(0.58, 0.54, 0.62, 6), 1),
        ("log_loss", Interval(0.58, float("nan"), float("nan"), 30), 1),
        ("log_loss", Interval(0.30, 0.28, 0.32, 30), 0),
        ("auc", Interval(0.30, 0.28, 0.32, 30), 2),
        ("auc", Interval(0.47, 0.40, 0.54, 30), 1),
        ("auc", Interval(0.80, 0.78, 0.82, 30), 0),
    ],
)
def test_harm_is_judged_by_the_interval_in_the_metrics_own_direction(metric: str, interval: Interval, expected: int) -> None:
    assert harm_signal(metric, interval, 0.5, 0.02).level == expected
