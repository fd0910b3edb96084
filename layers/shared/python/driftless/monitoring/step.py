"""The monitor step: judges one window of the champion's predictions and publishes the levels.

Windows are measured in event time, so a replayed month is judged as that month. The alarm on the
published levels works in wall-clock time; it only triggers the governor.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from driftless.definition.loading import named
from driftless.definition.project import Project
from driftless.monitoring.champion import Champion, load_champion
from driftless.monitoring.collection import uncollected
from driftless.monitoring.detectors import DETECTORS, Detector, OutcomeDetector
from driftless.monitoring.drift import judge_drift
from driftless.monitoring.levels import Levels, drift_level, earlier_windows, harm_level, persistent_levels, still_raised
from driftless.monitoring.performance import measure_window
from driftless.monitoring.profiles import columns_to_read
from driftless.monitoring.report import Judged, Reports, labels_by_day, nothing_judged, published_metrics
from driftless.monitoring.window import PredictionFiles, Predictions, Window
from driftless.ports import Clock, EndpointReader, MetricReader, MetricSink, ObjectReader, ObjectWriter, ReportLog, ReportReader
from driftless.records import MonitoringRecord, MonitoringRequest

_HISTORY = 100
"""Earlier reports that are read, besides those that persistence needs."""


class MonitoringFiles(PredictionFiles, ObjectWriter, Protocol):
    """What monitoring needs of the lake bucket."""


class MonitoringMetrics(MetricSink, MetricReader, Protocol):
    """What monitoring needs of the metric system."""


class MonitoringReports(EndpointReader, ReportLog, ReportReader, Protocol):
    """What monitoring needs of the registry."""


class Monitor:
    """Judges windows of one stage's projects.

    Parameters
    ----------
    lake : MonitoringFiles
    artifacts : ObjectReader
    registry : MonitoringReports
        Holds the champion and the reports.
    metrics : MonitoringMetrics
        Receives the levels and counts; has the number of predictions made.
    projects : mapping of name to Project
    clock : callable
        Returns the current time, timezone-aware.
    stage : str
        Deployment stage, a dimension of the metrics.
    detectors : sequence of Detector
        The tests of a window, in order; by default all that are registered.
    """

    def __init__(
        self,
        *,
        lake: MonitoringFiles,
        artifacts: ObjectReader,
        registry: MonitoringReports,
        metrics: MonitoringMetrics,
        projects: Mapping[str, Project],
        clock: Clock,
        stage: str,
        detectors: Sequence[Detector] = DETECTORS,
    ) -> None:
        self._lake, self._artifacts, self._registry, self._metrics = lake, artifacts, registry, metrics
        self._projects, self._clock, self._stage = projects, clock, stage
        self._detectors, self._reports = detectors, Reports(lake, registry, clock)

    def __call__(self, request: MonitoringRequest) -> MonitoringRecord:
        """Judge one window; judging it again replaces its report.

        Raises
        ------
        NotFound
            When there is no such project.
        IntegrityError
            When the champion's files are not what its manifest says.
        """
        project = named(self._projects, request.project)
        where = {"Stage": self._stage, "Project": project.name}
        missing = uncollected(self._lake, self._metrics, where, self._clock())
        champion = load_champion(self._artifacts, self._registry.endpoint(project.name))
        window = None if champion is None else self._window(project, champion, request.window_end)
        if champion is None or window is None:
            record = nothing_judged(project.name, champion.version if champion else None, missing)
        else:
            judged = self._judge(project, champion, window, missing)
            record = self._reports.store(judged, window, request.execution_arn)
        self._metrics.publish(published_metrics(record, project.gates.primary), where)
        return record

    def _window(self, project: Project, champion: Champion, window_end: datetime | None) -> Window | None:
        """Read the window that ends then, or the latest; None where there are no predictions."""
        with tempfile.TemporaryDirectory() as folder:
            predictions = Predictions(self._lake, project.name, Path(folder))
            end = _utc(window_end) if window_end else self._latest(predictions)
            if end is None:
                return None
            start = end - timedelta(days=project.monitoring.window_days)
            return predictions.window(start, end, champion.version, columns_to_read(project, champion.classes))

    def _latest(self, predictions: Predictions) -> datetime | None:
        latest = predictions.latest()
        # The event time of a prediction may lie ahead, by mistake years ahead.
        return None if latest is None else min(latest, self._clock())

    def _judge(self, project: Project, champion: Champion, window: Window, missing: int) -> Judged:
        settings = project.monitoring
        drift = judge_drift(project, champion, window, self._detectors)
        performance = measure_window(project, window, champion.classes, champion.metrics)
        harm = [detector.test(performance) for detector in self._detectors if isinstance(detector, OutcomeDetector)]
        own = Levels(drift_level(drift.features, drift.outputs, settings.drifted_share), harm_level(harm))
        reports = self._registry.monitoring(project.name, _HISTORY + settings.persistence)
        earlier = earlier_windows(reports, champion.version, window.end)
        levels = persistent_levels(own, earlier, settings.persistence)
        record = MonitoringRecord(
            project=project.name,
            version=champion.version,
            window_start=window.start,
            window_end=window.end,
            predictions=len(window),
            labels=int(window.labelled.sum()),
            drift_level=levels.drift,
            harm_level=levels.harm,
            metrics=dict(performance.metrics),
            reference_metrics=champion.metrics,
            signals=[*harm, *sorted((*drift.features, *drift.outputs), key=lambda signal: (-signal.level, signal.name))],
            report=None,
            uncollected=missing,
            still_raised=still_raised(levels, reports, project.retraining.triggers),
        )
        return Judged(record, own, labels_by_day(window, reports), performance.interval)


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
