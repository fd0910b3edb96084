"""Confidence intervals of metrics and their differences: block bootstrap by day.

Rows of one day are not independent (they share the weather, for example), so intervals from a bootstrap of rows are too narrow.
Whole days are drawn with replacement instead (Künsch, 1989, with the day as block; Efron & Tibshirani, 1993, ch. 8.6), and two
models are always compared on the same draw. Intervals are percentile intervals. With few blocks they are too narrow, so callers
require at least ``MINIMUM_BLOCKS``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftless.modelling.metrics import Floats, Scored, measure, row_losses

MINIMUM_BLOCKS = 7
_PAIRED_BLOCKS = 400
"""Blocks up to which counting the pairs of each two blocks costs less than going through the rows once per draw."""


@dataclass(frozen=True)
class Interval:
    """A point estimate and its confidence bounds; NaN when undefined."""

    estimate: float
    low: float
    high: float
    blocks: int


def day_blocks(times: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Block number (0, 1, …) of each row by its UTC day."""
    return np.unique(times.astype("datetime64[D]"), return_inverse=True)[1].astype(np.int64)


def metric_interval(
    metric: str, scored: Scored, blocks: NDArray[np.int64], *, confidence: float, resamples: int, seed: int = 0
) -> Interval:
    """Confidence interval of one model's metric."""
    return _interval([(1.0, scored)], metric, blocks, confidence, resamples, seed)


def difference_interval(
    metric: str,
    challenger: Scored,
    champion: Scored,
    blocks: NDArray[np.int64],
    *,
    confidence: float,
    resamples: int,
    seed: int = 0,
) -> Interval:
    """Confidence interval of challenger minus champion on the same rows, paired draw by draw."""
    return _interval([(1.0, challenger), (-1.0, champion)], metric, blocks, confidence, resamples, seed)


def _interval(
    terms: list[tuple[float, Scored]], metric: str, blocks: NDArray[np.int64], confidence: float, resamples: int, seed: int
) -> Interval:
    count = int(blocks.max()) + 1 if len(blocks) else 0
    if count == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    estimate = sum(sign * measure(metric, scored) for sign, scored in terms)
    draws = _fast(terms, metric, blocks, count, resamples, seed)
    if draws is None:
        drawn = (weights[blocks] for weights in _weights(count, resamples, seed))
        draws = np.array([sum(sign * measure(metric, scored, weights) for sign, scored in terms) for weights in drawn])
    draws = draws[np.isfinite(draws)]
    if len(draws) == 0:
        return Interval(estimate, float("nan"), float("nan"), count)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), count)


def _weights(count: int, resamples: int, seed: int) -> Iterator[Floats]:
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield generator.multinomial(count, np.full(count, 1 / count)).astype(np.float64)


def _fast(
    terms: list[tuple[float, Scored]], metric: str, blocks: NDArray[np.int64], count: int, resamples: int, seed: int
) -> Floats | None:
    """Draws from sums by block alone, with no pass over the rows per draw; None for metrics that have no such form."""
    if metric == "auc" and count <= _PAIRED_BLOCKS:
        weights = np.array(list(_weights(count, resamples, seed)))
        return np.asarray(sum(sign * _auc_draws(scored, blocks, count, weights) for sign, scored in terms))
    rows = np.bincount(blocks, minlength=count).astype(np.float64)
    total = np.zeros(count)
    for sign, scored in terms:
        losses = row_losses(metric, scored)
        if losses is None:
            return None
        total += sign * np.bincount(blocks, losses, minlength=count)
    return np.array([weights @ total / (weights @ rows) for weights in _weights(count, resamples, seed)])


def _auc_draws(scored: Scored, blocks: NDArray[np.int64], count: int, weights: Floats) -> Floats:
    """The AUC under each draw of block weights, shape (draws,); NaN where a draw has one class only.

    The AUC counts pairs of a true and a false row (Mann-Whitney), so under block weights w it is a quadratic form: the pairs that
    blocks a and b make are counted once, in one pass over the sorted rows per block, and weigh w[a] * w[b] in every draw.
    """
    order = np.argsort(scored.positive, kind="stable")
    score, block, true = scored.positive[order], blocks[order], scored.truth[order] == 1
    starts = np.flatnonzero(np.r_[True, np.diff(score) != 0])
    tie = np.cumsum(np.r_[True, np.diff(score) != 0]) - 1
    pairs = np.zeros((count, count))
    for other in range(count):
        false = np.add.reduceat(((block == other) & ~true).astype(np.float64), starts)
        below = np.cumsum(false) - false / 2
        pairs[:, other] = np.bincount(block[true], below[tie[true]], minlength=count)
    positives = np.bincount(block[true], minlength=count)
    negatives = np.bincount(block[~true], minlength=count)
    comparisons = (weights @ positives) * (weights @ negatives)
    won = ((weights @ pairs) * weights).sum(axis=1)
    return np.asarray(np.divide(won, comparisons, out=np.full(len(weights), np.nan), where=comparisons > 0))
