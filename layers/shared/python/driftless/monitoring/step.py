"""The monitor stage: judge one window of the champion's predictions, publish the levels, keep the report.

Everything is measured in event time, so a replayed month is judged as that month; the alarm on the published levels lives in
wall-clock time and only wakes the governor.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from driftless.core.layout.artifacts import BASELINE, INTERFACE
from driftless.core.layout.lake import monitoring_report
from driftless.definition.loading import named
from driftless.definition.project import Project
from driftless.modelling.column_profile import Baseline, CategoryProfile, NumberProfile, Profile, profile_like
from driftless.modelling.inputs import float_matrix
from driftless.modelling.prediction_columns import probability_columns
from driftless.modelling.version_files import read_file, read_manifest
from driftless.monitoring.collection import uncollected
from driftless.monitoring.detectors import DETECTORS, Detector, OutcomeDetector
from driftless.monitoring.drift import compare_all, judge
from driftless.monitoring.levels import drift_level, earlier_windows, harm_level, persistent
from driftless.monitoring.performance import Performance, measure_window
from driftless.monitoring.window import PredictionFiles, Predictions, Window
from driftless.ports import Clock, EndpointReader, MetricReader, MetricSink, ObjectReader, ObjectWriter, ReportLog, ReportReader
from driftless.records import Level, MonitoringRecord, MonitoringRequest, Signal, Trigger, WindowFacts, WindowReport

_HISTORY = 100
_ALERT = 2
_LABEL_DAYS = 366
# Serving's outputs are 32-bit, the baseline's 64-bit: without a nudge, equal outputs fall on either side of a bin edge.
_NUDGE = 2e-7


@dataclass(frozen=True)
class _Champion:
    version: int
    classes: tuple[str, ...]
    baseline: Baseline
    metrics: dict[str, float]


@dataclass(frozen=True)
class _Own:
    """What a window adds to the registry's history: its levels before persistence, and labels by day so far."""

    drift_level: Level
    harm_level: Level
    labels_by_day: dict[str, int]


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
        Says who the champion is; keeps the reports.
    metrics : MonitoringMetrics
        Gets the levels and the window's figures.
    projects : mapping of name to Project
    clock : callable
        Timezone-aware now, for the report.
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
        self._detectors = detectors

    def __call__(self, request: MonitoringRequest) -> MonitoringRecord:
        """Judge one window; judging it again replaces its report.

        Raises
        ------
        NotFound
            When there is no such project.
        IntegrityError
            When the champion's baseline is not what its manifest says.
        """
        project = named(self._projects, request.project)
        missing = uncollected(self._lake, self._metrics, self._dimensions(project), self._clock())
        with tempfile.TemporaryDirectory() as folder:
            predictions = Predictions(self._lake, project.name, Path(folder))
            # Predictions are about what is still to come, by mistake years ahead: the latest window ends now at the latest.
            latest = predictions.latest()
            end = _utc(request.window_end) if request.window_end else latest and min(latest, self._clock())
            champion = self._champion(project)
            if champion is None or end is None:
                record = _nothing(project.name, champion.version if champion else None, missing)
                self._publish(project, record)
                return record
            start = end - timedelta(days=project.monitoring.window_days)
            window = predictions.window(start, end, champion.version, _columns(project, champion))
        return self._judged(project, champion, window, request, missing)

    def _champion(self, project: Project) -> _Champion | None:
        endpoint = self._registry.endpoint(project.name)
        if endpoint.champion is None:
            return None
        version, digest = endpoint.champion, endpoint.manifests.get(str(endpoint.champion), "")
        manifest, _ = read_manifest(self._artifacts, project.name, version, digest)
        interface = json.loads(read_file(self._artifacts, manifest, INTERFACE))
        baseline = Baseline.model_validate_json(read_file(self._artifacts, manifest, BASELINE))
        return _Champion(version, tuple(interface["classes"] or ()), baseline, manifest.metrics | manifest.expected)

    def _judged(
        self, project: Project, champion: _Champion, window: Window, request: MonitoringRequest, missing: int
    ) -> MonitoringRecord:
        settings = project.monitoring
        features, outputs = drift_signals(project, champion.classes, champion.baseline, window, self._detectors)
        performance = measure_window(project, window, champion.classes, champion.metrics)
        harm = [detector.test(performance) for detector in self._detectors if isinstance(detector, OutcomeDetector)]
        reports = self._registry.monitoring(project.name, _HISTORY + settings.persistence)
        own = _Own(drift_level(features, outputs, settings.drifted_share), harm_level(harm), labels_by_day(window, reports))
        history = earlier_windows(reports, champion.version, window.end)
        record = MonitoringRecord(
            project=project.name,
            version=champion.version,
            window_start=window.start,
            window_end=window.end,
            predictions=len(window),
            labels=int(window.labelled.sum()),
            drift_level=persistent(own.drift_level, [report.window_drift_level for report in history], settings.persistence),
            harm_level=persistent(own.harm_level, [report.window_harm_level for report in history], settings.persistence),
            metrics=dict(performance.metrics),
            reference_metrics=champion.metrics,
            signals=[*harm, *sorted((*features, *outputs), key=lambda signal: (-signal.level, signal.name))],
            report=None,
            uncollected=missing,
        )
        record = record.model_copy(update={"still_raised": still_raised(record, reports, project.retraining.triggers)})
        record = self._keep(record, performance, own, window.end, request)
        self._publish(project, record)
        return record

    def _keep(
        self,
        record: MonitoringRecord,
        performance: Performance,
        own: _Own,
        end: datetime,
        request: MonitoringRequest,
    ) -> MonitoringRecord:
        interval = performance.interval
        bounds = None if interval is None else {"low": interval.low, "high": interval.high, "days": interval.blocks}
        report = {
            **record.model_dump(mode="json", exclude={"report"}),
            "judged_at": self._clock().isoformat(),
            "execution_arn": request.execution_arn,
            "interval": bounds,
            "window_drift_level": own.drift_level,
            "window_harm_level": own.harm_level,
            "labels_by_day": own.labels_by_day,
        }
        key = monitoring_report(record.project, end)
        ref = self._lake.put(key, json.dumps(report, indent=2).encode(), content_type="application/json")
        kept = record.model_copy(update={"report": ref})
        self._registry.record_monitoring(record.project, end, _facts(kept, own))
        return kept

    def _publish(self, project: Project, record: MonitoringRecord) -> None:
        primary = project.gates.primary
        found = {
            "DriftLevel": float(record.drift_level),
            "HarmLevel": float(record.harm_level),
            "WindowPredictions": float(record.predictions),
            "WindowLabels": float(record.labels),
            "PrimaryMetric": record.metrics.get(primary),
            "PrimaryMetricReference": record.reference_metrics.get(primary),
            "UncollectedPredictions": float(record.uncollected),
        }
        published = {name: value for name, value in found.items() if value is not None}
        self._metrics.publish(published, self._dimensions(project))

    def _dimensions(self, project: Project) -> dict[str, str]:
        return {"Stage": self._stage, "Project": project.name}


def _facts(record: MonitoringRecord, own: _Own) -> WindowFacts:
    return WindowFacts(
        version=record.version,
        window_start=record.window_start,
        predictions=record.predictions,
        labels=record.labels,
        drift_level=record.drift_level,
        harm_level=record.harm_level,
        window_drift_level=own.drift_level,
        window_harm_level=own.harm_level,
        metrics=record.metrics,
        reference_metrics=record.reference_metrics,
        report=record.report,
        uncollected=record.uncollected,
        still_raised=record.still_raised,
        labels_by_day=own.labels_by_day,
        raised=[signal for signal in record.signals if signal.level],
    )


def still_raised(record: MonitoringRecord, reports: Sequence[WindowReport], triggers: Sequence[str]) -> list[Trigger]:
    """Levels that are 2 in this record and in the report made last, of whatever window, if they trigger a training."""
    last = max(reports, key=lambda report: report.recorded_at, default=None)
    if last is None:
        return []
    levels: dict[Trigger, Level] = {"harm": record.harm_level, "drift": record.drift_level}
    raised = [name for name, level in levels.items() if level == _ALERT and last.level(name) == _ALERT]
    return [name for name in raised if name in triggers]


def labels_by_day(window: Window, reports: Sequence[WindowReport]) -> dict[str, int]:
    """Labelled predictions of each UTC day (ISO text), of the window and of all that earlier reports knew.

    Windows overlap, and a day's labels keep arriving: its count is the largest that was seen. Days a year before the window are
    forgotten.
    """
    oldest = (window.end - timedelta(days=_LABEL_DAYS)).date().isoformat()
    found = {day.isoformat(): count for day, count in window.labels_by_day.items()}
    for report in reports:
        for day, count in report.labels_by_day.items():
            if day >= oldest:
                found[day] = max(found.get(day, 0), count)
    return dict(sorted(found.items()))


def drift_signals(
    project: Project, classes: tuple[str, ...], baseline: Baseline, window: Window, detectors: Sequence[Detector]
) -> tuple[list[Signal], list[Signal]]:
    """Signals of features and of outputs; none but a word about it while the window is too small."""
    count, needed = len(window), project.monitoring.minimum_predictions
    if count < needed:
        reason = f"{count} predictions, fewer than the {needed} that drift is judged on"
        return [], [Signal(name="drift", level=0, statistic="predictions", value=count, threshold=needed, reason=reason)]
    features = compare_all(baseline.features, profile_features(baseline, window), detectors)
    current: dict[str, Profile] = {}
    # P(false) mirrors P(true); and the baseline's outputs are on rows the model was fitted on, so they warn at most.
    scores = probability_columns(classes)[1:] if project.task == "binary" else probability_columns(classes) or ["prediction"]
    for name in scores:
        values = window.columns["score" if name == "prediction" else name]
        reference = baseline.outputs.get(name)
        if isinstance(reference, NumberProfile):
            current[name] = profile_like(reference, nudged(values, reference.minimum))
    outputs = judge(compare_all(baseline.outputs, current, detectors), project.monitoring, prefix="output.")
    capped = [signal.model_copy(update={"level": min(signal.level, 1)}) for signal in outputs]
    return judge(features, project.monitoring), capped


def nudged(values: NDArray[np.float64], lowest: float | None) -> NDArray[np.float64]:
    """Serving's outputs moved off the baseline's bin edges; what equals its lowest output stays, for nothing was seen below."""
    nudge = _NUDGE * np.maximum(1.0, np.abs(values))
    if lowest is None:
        return values
    return np.where(np.abs(values - lowest) <= nudge, lowest, values - nudge)


def profile_features(baseline: Baseline, window: Window) -> dict[str, Profile]:
    """The window's inputs over the baseline's bins, numbers rounded to float32 as the model saw them."""
    columns = {name.removeprefix("input_"): values for name, values in window.columns.items() if name.startswith("input_")}
    numbers = [name for name, profile in baseline.features.items() if isinstance(profile, NumberProfile) and name in columns]
    matrix: NDArray[np.float32] = float_matrix(columns, numbers)
    found: dict[str, Profile] = {name: profile_like(baseline.features[name], matrix[row]) for row, name in enumerate(numbers)}
    for name, profile in baseline.features.items():
        if isinstance(profile, CategoryProfile) and name in columns:
            found[name] = profile_like(profile, columns[name])
    return found


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _columns(project: Project, champion: _Champion) -> dict[str, str]:
    names = {"prediction": "text", "score": "number", **dict.fromkeys(probability_columns(champion.classes), "number")}
    for name, feature in project.features.columns.items():
        if not feature.pii:
            names[f"input_{name}"] = "text" if feature.type == "category" else "number"
    return names


def _nothing(project: str, version: int | None, missing: int) -> MonitoringRecord:
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
        uncollected=missing,
    )
