"""Predictions as columns of a file: the one form that training, scoring and evaluation exchange.

``row`` is the position in the file the predictions are for, ``prediction`` the class name (or the predicted value), and
classifiers add one ``p_<class>`` column per class in the model's class order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftless.definition.section import Task
from driftless.modelling.metrics import Floats, Scored, class_name, class_positions

CHALLENGE = "parity_challenge"
"""Column of the parity rows that says in words what a row tests."""


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


def scored(task: Task, classes: Sequence[str], truth: NDArray[Any], columns: Mapping[str, NDArray[Any]]) -> Scored:
    """Target and output columns of n rows in the form that metrics read.

    Parameters
    ----------
    classes : sequence of str
        The model's classes in order, empty for regression.
    truth : ndarray of shape (n,)
        Booleans, class names or numbers.
    columns : mapping
        Output columns of the same rows.
    """
    if not classes:
        values = np.asarray(columns["prediction"], dtype=np.float64)
        return Scored(task, (), np.asarray(truth, dtype=np.float64), values, np.zeros(len(values), dtype=np.int64))
    scores = np.column_stack([np.asarray(columns[name], dtype=np.float64) for name in probability_columns(classes)])
    return Scored(task, tuple(classes), class_positions(truth, classes), scores, class_positions(columns["prediction"], classes))
