"""The naive predictor: it knows only the distribution of the target in training, and every model must beat it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftless.modelling.metrics import Scored, class_positions


def naive(holdout: Scored, train_target: NDArray[Any], classes: Sequence[str], metric: str) -> Scored:
    """The naive predictor on the rows of ``holdout``.

    For classification it predicts the most common class, with the classes' training shares as probabilities. For regression it
    predicts the constant that is best for the metric: the training median for ``mae``, the mean otherwise.
    """
    rows = len(holdout)
    if not classes:
        values = np.asarray(train_target, dtype=np.float64)
        constant = float(np.median(values) if metric == "mae" else np.mean(values))
        return Scored(holdout.task, (), holdout.truth, np.full(rows, constant), holdout.predicted)
    shares = np.bincount(class_positions(train_target, classes), minlength=len(classes)) / len(train_target)
    commonest = np.full(rows, int(np.argmax(shares)), dtype=np.int64)
    return Scored(holdout.task, holdout.classes, holdout.truth, np.tile(shares, (rows, 1)), commonest)
