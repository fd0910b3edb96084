"""Did it hurt? The primary metric over the labelled rows of a window, beside the same metric at evaluation.

Rows of a day share its weather, so the interval comes from a bootstrap over whole days. Harm is an alert only when the
whole interval lies beyond the margin, and a warning when the estimate does; with too few days the interval is not to be
trusted, and a warning is the most that is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftless.core.parquet import Columns
from driftless.definition.learning import HIGHER_IS_BETTER
from driftless.definition.project import Project
from driftless.modelling.intervals import MINIMUM_BLOCKS, Interval, day_blocks, metric_interval
from driftless.modelling.metrics import measure_all
from driftless.modelling.prediction_columns import probability_columns, scored
from driftless.monitoring.window import Window
from driftless.records import Signal


@dataclass(frozen=True)
class Performance:
    """Every metric of the labelled rows, the primary one's interval, and the verdict."""

    metrics: dict[str, float]
    interval: Interval | None
    signal: Signal


def judge_performance(project: Project, window: Window, classes: Sequence[str], reference: Mapping[str, float]) -> Performance:
    """Compare a window's primary metric with its reference.

    Parameters
    ----------
    classes : sequence of str
        The model's classes in order; empty for regression.
    reference : mapping
        What the champion's metrics are expected to be: its hold-out's, the primary one as ``EvaluationRecord.expected`` defines.
    """
    metric, settings = project.gates.primary, project.monitoring
    rows = window.labelled & _answered(window, classes)
    count = int(rows.sum())
    if count < settings.minimum_labels:
        missing = f"{count} labels, fewer than the {settings.minimum_labels} that harm is judged on"
        return Performance({}, None, _quiet(metric, missing))
    truth = scored(project.task, classes, window.truth[rows], _outputs(window, classes, rows))
    metrics = measure_all(truth)
    expected = reference.get(metric)
    if expected is None or metric not in metrics:
        return Performance(metrics, None, _quiet(metric, f"{metric} is undefined in the window or at evaluation"))
    interval = metric_interval(
        metric, truth, day_blocks(window.times[rows]), confidence=project.gates.confidence, resamples=project.gates.resamples
    )
    return Performance(metrics, interval, harm_signal(metric, interval, expected, settings.harm_margin))


def harm_signal(metric: str, interval: Interval, expected: float, margin: float) -> Signal:
    """The verdict over a metric's interval: level 2 harmed beyond doubt, 1 harmed by the estimate, 0 not harmed."""
    higher = metric in HIGHER_IS_BETTER
    worse = expected - interval.estimate if higher else interval.estimate - expected
    surely = expected - interval.high if higher else interval.low - expected
    shown = f"{metric} {interval.estimate:.4g} ({interval.low:.4g} to {interval.high:.4g}) against {expected:.4g} at evaluation"
    if worse <= margin:
        level, reason = 0, f"{shown}: not worse by more than {margin:g}"
    elif interval.blocks < MINIMUM_BLOCKS:
        level, reason = 1, f"{shown}: worse, but {interval.blocks} days are too few to be sure ({MINIMUM_BLOCKS} needed)"
    elif math.isfinite(surely) and surely > margin:
        level, reason = 2, f"{shown}: worse by more than {margin:g} beyond doubt"
    else:
        level, reason = 1, f"{shown}: worse by more than {margin:g}, but not beyond doubt"
    return Signal.model_validate(
        {"name": "harm", "level": level, "statistic": metric, "value": worse, "threshold": margin, "reason": reason}
    )


def _outputs(window: Window, classes: Sequence[str], rows: NDArray[np.bool_]) -> Columns:
    if not classes:
        return {"prediction": window.columns["score"][rows]}
    return {name: window.columns[name][rows] for name in ("prediction", *probability_columns(classes))}


def _answered(window: Window, classes: Sequence[str]) -> NDArray[np.bool_]:
    """Rows whose outputs are all numbers: one that is none would leave the whole window's metrics undefined, and harm unseen."""
    names = probability_columns(classes) or ["score"]
    return np.asarray(np.all([np.isfinite(window.columns[name]) for name in names], axis=0))


def _quiet(metric: str, reason: str) -> Signal:
    return Signal(name="harm", level=0, statistic=metric, value=None, threshold=None, reason=reason)
