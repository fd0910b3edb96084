"""The parity rows: inputs that a client could send and that a conversion could get wrong.

First an even sample of the hold-out, because wrong splits show only on real values. Then copies of a few real rows with one
value changed: null where it is allowed, an unknown category, the empty text, and the ends of the range (epoch-sized and huge
numbers where the project states no range). A column says in words what each row tests, so that a refusal can name it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftless.definition.features import FeatureColumn
from driftless.definition.project import Project
from driftless.modelling.inputs import PROVEN
from driftless.modelling.prediction_columns import CHALLENGE

SAMPLE = 20_000
COPIES = 5
_HUGE = (-PROVEN, -1.7e9, 1.7e9, PROVEN)


def parity_rows(project: Project, holdout: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Columns of the parity rows: every feature, and ``parity_challenge`` in words."""
    names = list(project.features.columns)
    count = len(holdout[names[0]])
    sampled = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).round().astype(np.int64))
    parts = [{name: holdout[name][sampled] for name in names}]
    words = [np.array([f"hold-out row {row}" for row in sampled], dtype=object)]
    models = np.unique(np.linspace(0, count - 1, min(count, COPIES)).round().astype(np.int64))
    for feature, value, word in _challenges(project):
        copies = {name: holdout[name][models].copy() for name in names}
        copies[feature] = np.full(len(models), value, dtype=object if isinstance(value, str | None) else np.float64)
        parts.append(copies)
        words.append(np.full(len(models), word, dtype=object))
    columns = {name: _joined([part[name] for part in parts], project.features.columns[name]) for name in names}
    return {**columns, CHALLENGE: np.concatenate(words)}


def _challenges(project: Project) -> Iterator[tuple[str, Any, str]]:
    for name, column in project.features.columns.items():
        if column.type == "category":
            yield name, "never seen before", f"unknown {name}"
            if column.nullable:
                yield name, "", f"empty {name}"
            continue
        if column.nullable:
            yield name, np.nan, f"null {name}"
        for value in _ends(column):
            yield name, value, f"{name} = {value:g}"


def _ends(column: FeatureColumn) -> tuple[float, ...]:
    if column.type == "boolean":
        return (0.0, 1.0)
    low, high = column.range or (None, None)
    return tuple([low] if low is not None else _HUGE[:2]) + tuple([high] if high is not None else _HUGE[2:])


def _joined(parts: list[NDArray[Any]], column: FeatureColumn) -> NDArray[Any]:
    if column.type == "category":
        return np.concatenate([np.asarray(part, dtype=object) for part in parts])
    return np.concatenate([np.array(part, dtype=np.float64) for part in parts])
