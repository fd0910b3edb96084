"""Measures the champion on a window's labelled rows: metrics, and the primary one's interval.

Rows of a day share its weather, so the interval comes from a bootstrap over whole days. Outcome
detectors judge what is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftless.core.parquet import Columns
from driftless.definition.operation import Monitoring
from driftless.definition.project import Project
from driftless.modelling.intervals import Interval, day_blocks, metric_interval
from driftless.modelling.metrics import Scored, measure_all
from driftless.modelling.prediction_columns import probability_columns, scored
from driftless.monitoring.window import Window


@dataclass(frozen=True)
class Outcomes:
    """Labelled rows of a window.

    Attributes
    ----------
    scored : Scored
        Truth and predictions of n rows.
    days : ndarray of int64, shape (n,)
        Number of each row's UTC day (0, 1, …), the blocks of a bootstrap.
    """

    scored: Scored
    days: NDArray[np.int64]


@dataclass(frozen=True)
class Performance:
    """The champion's metrics in a window, beside those at evaluation.

    Attributes
    ----------
    primary : str
        The metric that the project's gates judge by.
    settings : Monitoring
        The project's thresholds.
    rows : int
        Rows with a label and with numbers for outputs.
    outcomes : Outcomes or None
        These rows; None where they are fewer than ``settings.minimum_labels``, and nothing is
        measured.
    metrics : mapping
        Every metric that the rows define.
    reference : mapping
        The same metrics at evaluation.
    interval : Interval or None
        Of the primary metric; None where it is undefined in the window or at evaluation.
    """

    primary: str
    settings: Monitoring
    rows: int
    outcomes: Outcomes | None
    metrics: Mapping[str, float]
    reference: Mapping[str, float]
    interval: Interval | None


def measure_window(project: Project, window: Window, classes: Sequence[str], reference: Mapping[str, float]) -> Performance:
    """Measure the champion on a window's labelled rows.

    Parameters
    ----------
    classes : sequence of str
        The model's classes in order; empty for regression.
    reference : mapping
        The champion's expected metrics: those of its hold-out, the primary one as
        ``EvaluationRecord.expected`` defines.
    """
    metric, settings = project.gates.primary, project.monitoring
    rows = window.labelled & _numeric(window, classes)
    count = int(rows.sum())
    if count < settings.minimum_labels:
        return Performance(metric, settings, count, None, {}, reference, None)
    truth = scored(project.task, classes, window.truth[rows], _outputs(window, classes, rows))
    outcomes = Outcomes(truth, day_blocks(window.times[rows]))
    metrics = measure_all(truth)
    interval = None
    if metric in reference and metric in metrics:
        gates = project.gates
        interval = metric_interval(metric, truth, outcomes.days, confidence=gates.confidence, resamples=gates.resamples)
    return Performance(metric, settings, count, outcomes, metrics, reference, interval)


def _outputs(window: Window, classes: Sequence[str], rows: NDArray[np.bool_]) -> Columns:
    if not classes:
        return {"prediction": window.columns["score"][rows]}
    return {name: window.columns[name][rows] for name in ("prediction", *probability_columns(classes))}


def _numeric(window: Window, classes: Sequence[str]) -> NDArray[np.bool_]:
    """Mask of the rows whose outputs are all finite.

    A single NaN would leave the metrics of the whole window undefined.
    """
    names = probability_columns(classes) or ["score"]
    return np.asarray(np.all([np.isfinite(window.columns[name]) for name in names], axis=0))
