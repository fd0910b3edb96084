"""What monitoring reports of a window: a file in the lake, facts in the registry, metrics.

Judging a window again replaces its file and its facts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from driftless.core.layout.lake import monitoring_report
from driftless.modelling.intervals import Interval
from driftless.monitoring.levels import Levels
from driftless.monitoring.window import Window
from driftless.ports import Clock, ObjectWriter, ReportLog
from driftless.records import Level, MonitoringRecord, Record, Signal, WindowFacts, WindowReport

_LABEL_DAYS = 366


@dataclass(frozen=True)
class Judged:
    """A judged window.

    Attributes
    ----------
    record : MonitoringRecord
        What the step returns, still without its report.
    own : Levels
        Levels of this window alone, before persistence.
    labels_by_day : dict of str to int
        As :func:`labels_by_day` counts them.
    interval : Interval or None
        Of the primary metric.
    """

    record: MonitoringRecord
    own: Levels
    labels_by_day: dict[str, int]
    interval: Interval | None


class Bounds(Record):
    """Confidence interval of the primary metric, from so many days."""

    low: float
    high: float
    days: int


class ReportFile(MonitoringRecord):
    """The report in the lake: everything known of a window, with all signals."""

    judged_at: str
    execution_arn: str
    interval: Bounds | None
    window_drift_level: Level
    window_harm_level: Level
    labels_by_day: dict[str, int]


class Reports:
    """Stores what was found in a window.

    Parameters
    ----------
    lake : ObjectWriter
        For the report file.
    registry : ReportLog
        For the facts.
    clock : callable
        Returns the current time, timezone-aware.
    """

    def __init__(self, lake: ObjectWriter, registry: ReportLog, clock: Clock) -> None:
        self._lake, self._registry, self._clock = lake, registry, clock

    def store(self, judged: Judged, window: Window, execution_arn: str) -> MonitoringRecord:
        """Store file and facts; returns the record with a reference to the file."""
        record = judged.record
        file = _report_file(judged, self._clock().isoformat(), execution_arn)
        content = json.dumps(file.model_dump(mode="json", exclude={"report"}), indent=2).encode()
        key = monitoring_report(record.project, window.end)
        ref = self._lake.put(key, content, content_type="application/json")
        stored = record.model_copy(update={"report": ref})
        self._registry.record_monitoring(record.project, window.end, _facts(stored, judged))
        return stored


def _report_file(judged: Judged, judged_at: str, execution_arn: str) -> ReportFile:
    interval = judged.interval
    return ReportFile(
        **dict(judged.record),
        judged_at=judged_at,
        execution_arn=execution_arn,
        interval=None if interval is None else Bounds(low=interval.low, high=interval.high, days=interval.blocks),
        window_drift_level=judged.own.drift,
        window_harm_level=judged.own.harm,
        labels_by_day=judged.labels_by_day,
    )


def _facts(record: MonitoringRecord, judged: Judged) -> WindowFacts:
    return WindowFacts(
        version=record.version,
        window_start=record.window_start,
        predictions=record.predictions,
        labels=record.labels,
        drift_level=record.drift_level,
        harm_level=record.harm_level,
        window_drift_level=judged.own.drift,
        window_harm_level=judged.own.harm,
        metrics=record.metrics,
        reference_metrics=record.reference_metrics,
        report=record.report,
        uncollected=record.uncollected,
        still_raised=record.still_raised,
        labels_by_day=judged.labels_by_day,
        raised=[signal for signal in record.signals if signal.level],
    )


def labels_by_day(window: Window, reports: Sequence[WindowReport]) -> dict[str, int]:
    """Labelled predictions of each UTC day (ISO text) that any window so far covered.

    Windows overlap, and labels of a day keep arriving: the largest count of a day is taken. Days
    more than a year before the window are dropped.
    """
    oldest = (window.end - timedelta(days=_LABEL_DAYS)).date().isoformat()
    found = {day.isoformat(): count for day, count in window.labels_by_day.items()}
    for report in reports:
        for day, count in report.labels_by_day.items():
            if day >= oldest:
                found[day] = max(found.get(day, 0), count)
    return dict(sorted(found.items()))


def nothing_judged(project: str, version: int | None, uncollected: int) -> MonitoringRecord:
    """The record of a project that has no champion, or no predictions yet."""
    reason = "no champion serves" if version is None else "no predictions were collected"
    return MonitoringRecord(
        project=project,
        version=version,
        window_start=None,
        window_end=None,
        predictions=0,
        labels=0,
        drift_level=0,
        harm_level=0,
        metrics={},
        reference_metrics={},
        signals=[Signal(name="window", level=0, statistic="predictions", value=0, threshold=None, reason=reason)],
        report=None,
        uncollected=uncollected,
    )


def published_metrics(record: MonitoringRecord, primary: str) -> dict[str, float]:
    """Values of the metrics that monitoring publishes, without those that are undefined."""
    found = {
        "DriftLevel": float(record.drift_level),
        "HarmLevel": float(record.harm_level),
        "WindowPredictions": float(record.predictions),
        "WindowLabels": float(record.labels),
        "PrimaryMetric": record.metrics.get(primary),
        "PrimaryMetricReference": record.reference_metrics.get(primary),
        "UncollectedPredictions": float(record.uncollected),
    }
    return {name: value for name, value in found.items() if value is not None}
