"""Predictions as columns of a file: the one form that training, scoring and evaluation exchange.

``row`` is the position in the file the predictions are for, ``prediction`` the class name (or the predicted value), and
classifiers add one ``p_<class>`` column per class in the model's class order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftless.metrics import Floats, class_name


def probability_columns(classes: Sequence[str]) -> list[str]:
    """Names of the probability columns."""
    return [f"p_{name}" for name in classes]


def output_columns(labels: Sequence[Any] | NDArray[Any], scores: Floats, classes: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Columns of n predictions.

    Parameters
    ----------
    labels : sequence of bool, str or float, length n
    scores : ndarray of shape (n, n_classes), or (n,) for regression
    classes : sequence of str
        Empty for regression.
    """
    columns: dict[str, NDArray[Any]] = {"row": np.arange(len(labels), dtype=np.int64)}
    if not classes:
        return {**columns, "prediction": np.asarray(scores, dtype=np.float64)}
    columns["prediction"] = np.array([class_name(label) for label in labels], dtype=object)
    return {**columns, **{name: scores[:, index] for index, name in enumerate(probability_columns(classes))}}


def scores_of(columns: Mapping[str, NDArray[Any]], classes: Sequence[str]) -> Floats:
    """Probabilities of shape (n, n_classes), or predicted values of shape (n,), from output columns."""
    if not classes:
        return np.asarray(columns["prediction"], dtype=np.float64)
    return np.column_stack([np.asarray(columns[name], dtype=np.float64) for name in probability_columns(classes)])
