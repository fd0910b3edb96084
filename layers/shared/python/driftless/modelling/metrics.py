"""The metrics of gates and monitoring on numpy, each with the source of its formula.

All metrics accept row weights. A resample of the block bootstrap is a vector of integer weights (a day drawn twice has weight
two), so it costs one pass over the rows. A metric that is undefined for a sample (the AUC of a window with only one class) is
NaN, not an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftless.definition.learning import METRICS
from driftless.definition.section import Task

Floats = NDArray[np.float64]
CLIP = 1e-7
"""Probabilities are clipped to [CLIP, 1 - CLIP]: serving's are float32, whose nearest neighbour of 1 is 6e-8 away."""
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Scored:
    """Truth and predictions of n rows.

    Attributes
    ----------
    task : {"binary", "multiclass", "regression"}
    classes : tuple of str
        Class names in the order of ``scores``; empty for regression. Binary: ``("false", "true")``.
    truth : ndarray of shape (n,)
        Position of the true class in ``classes`` (-1 for a class the model does not know), or the true value.
    scores : ndarray of shape (n, n_classes) or (n,)
        Probabilities, or predicted values.
    predicted : ndarray of int64 of shape (n,)
        Position of the predicted class; for regression unused.
    """

    task: Task
    classes: tuple[str, ...]
    truth: NDArray[np.int64] | Floats
    scores: Floats
    predicted: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Scored:
        """The same for a subset of rows, given as a mask or as positions."""
        return Scored(self.task, self.classes, self.truth[rows], self.scores[rows], self.predicted[rows])

    @property
    def positive(self) -> Floats:
        """P(target is true), binary only."""
        return self.scores[:, 1]


def measure(metric: str, scored: Scored, weights: Floats | None = None) -> float:
    """One metric, NaN when it is undefined on these rows.

    Parameters
    ----------
    metric : str
        A key of ``driftless.definition.learning.METRICS`` for the task of ``scored``.
    weights : ndarray of shape (n,), optional
        Non-negative row weights; all 1 by default.
    """
    if weights is None:
        weights = np.ones(len(scored))
    if len(scored) == 0 or weights.sum() == 0:
        return float("nan")
    return float(_MEASURES[metric](scored, weights))


def measure_all(scored: Scored) -> dict[str, float]:
    """Every metric of the task that is defined on these rows."""
    found = {name: measure(name, scored) for name, tasks in METRICS.items() if scored.task in tasks}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def row_losses(metric: str, scored: Scored) -> Floats | None:
    """Per-row terms whose weighted mean is the metric, shape (n,); None for metrics that are no mean over rows."""
    terms = _MEANS.get(metric)
    return None if terms is None else terms(scored)


def calibration_bins(scored: Scored, bins: int = CALIBRATION_BINS) -> list[dict[str, float]]:
    """Reliability table of a binary model over equal-width bins of P(true): count, mean prediction, observed rate."""
    position = np.minimum((scored.positive * bins).astype(np.int64), bins - 1)
    table = []
    for index in range(bins):
        inside = position == index
        if inside.any():
            predicted, observed = float(scored.positive[inside].mean()), float(scored.truth[inside].mean())
            table.append(
                {
                    "from": index / bins,
                    "to": (index + 1) / bins,
                    "rows": float(inside.sum()),
                    "predicted": predicted,
                    "observed": observed,
                }
            )
    return table


# -- means over rows ------------------------------------------------------------------------------------------------


def _log_terms(scored: Scored) -> Floats:
    """Negative log-likelihood of the true class (Good, 1952); a class the model does not know has probability CLIP."""
    known = scored.truth >= 0
    rows = np.arange(len(scored))
    chosen = scored.scores[rows, np.where(known, scored.truth, 0).astype(np.int64)]
    likelihood: Floats = np.clip(np.where(known, chosen, 0.0), CLIP, 1 - CLIP)
    return np.asarray(-np.log(likelihood))


def _brier_terms(scored: Scored) -> Floats:
    """Squared error of P(true) (Brier, 1950, as in scikit-learn: half of the two-class sum)."""
    return np.asarray((scored.positive - scored.truth) ** 2)


def _accuracy_terms(scored: Scored) -> Floats:
    return np.asarray(scored.predicted == scored.truth, dtype=np.float64)


def _absolute_terms(scored: Scored) -> Floats:
    return np.asarray(np.abs(scored.scores - scored.truth))


def _mean(terms: Callable[[Scored], Floats]) -> Callable[[Scored, Floats], float]:
    return lambda scored, weights: float(np.average(terms(scored), weights=weights))


# -- the others -----------------------------------------------------------------------------------------------------


def _rmse(scored: Scored, weights: Floats) -> float:
    return float(np.sqrt(np.average((scored.scores - scored.truth) ** 2, weights=weights)))


def _r2(scored: Scored, weights: Floats) -> float:
    """Coefficient of determination, 1 minus residual over total sum of squares; undefined for a constant truth."""
    centre = np.average(scored.truth, weights=weights)
    total = float(np.dot(weights, (scored.truth - centre) ** 2))
    residual = float(np.dot(weights, (scored.scores - scored.truth) ** 2))
    return 1 - residual / total if total > 0 else float("nan")


def _thresholds(scored: Scored, weights: Floats) -> tuple[Floats, Floats]:
    """Weight of true and of false rows at each distinct score, highest score first."""
    order = np.argsort(-scored.positive, kind="stable")
    score = scored.positive[order]
    truth, weight = scored.truth[order].astype(np.float64), weights[order]
    starts = np.flatnonzero(np.r_[True, np.diff(score) != 0])
    return np.add.reduceat(weight * truth, starts), np.add.reduceat(weight * (1 - truth), starts)


def _auc(scored: Scored, weights: Floats) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic, ties counting half (Hanley & McNeil, 1982)."""
    true, false = _thresholds(scored, weights)
    pairs = true.sum() * false.sum()
    if pairs == 0:
        return float("nan")
    above = np.cumsum(true) - true
    return float(np.dot(false, above + true / 2) / pairs)


def _average_precision(scored: Scored, weights: Floats) -> float:
    """Sum of precision times the step in recall (scikit-learn's definition, no interpolation)."""
    true, false = _thresholds(scored, weights)
    if true.sum() == 0:
        return float("nan")
    hits, all_above = np.cumsum(true), np.cumsum(true + false)
    seen = all_above > 0
    return float(np.dot(true[seen] / true.sum(), hits[seen] / all_above[seen]))


def _calibration_error(scored: Scored, weights: Floats) -> float:
    """Expected calibration error over equal-width bins of P(true) (Naeini, Cooper & Hauskrecht, 2015)."""
    position = np.minimum((scored.positive * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gap = np.bincount(position, weights * (scored.positive - scored.truth), minlength=CALIBRATION_BINS)
    return float(np.abs(gap).sum() / weights.sum())


def _f1_macro(scored: Scored, weights: Floats) -> float:
    """Unweighted mean of the classes' F1; a class neither present nor predicted is left out."""
    values = []
    for index in range(len(scored.classes)):
        true, predicted = scored.truth == index, scored.predicted == index
        support = float(weights[true].sum() + weights[predicted].sum())
        if support > 0:
            values.append(2 * float(weights[true & predicted].sum()) / support)
    return float(np.mean(values)) if values else float("nan")


_MEANS: dict[str, Callable[[Scored], Floats]] = {
    "log_loss": _log_terms,
    "brier": _brier_terms,
    "accuracy": _accuracy_terms,
    "mae": _absolute_terms,
}
_MEASURES: dict[str, Callable[[Scored, Floats], float]] = {
    **{name: _mean(terms) for name, terms in _MEANS.items()},
    "auc": _auc,
    "average_precision": _average_precision,
    "calibration_error": _calibration_error,
    "f1_macro": _f1_macro,
    "rmse": _rmse,
    "r2": _r2,
}


def class_positions(values: Iterable[object], classes: Sequence[str]) -> NDArray[np.int64]:
    """Position of each value in ``classes``, -1 where it is none of them; booleans are ``"true"`` and ``"false"``."""
    known = {name: index for index, name in enumerate(classes)}
    return np.array([known.get(class_name(value), -1) for value in values], dtype=np.int64)


def class_name(value: object) -> str:
    """A label as its class name."""
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)
