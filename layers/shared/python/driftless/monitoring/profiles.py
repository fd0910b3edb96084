"""Profiles of a window's columns over the baseline's bins, and which columns that takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from driftless.definition.project import Project
from driftless.modelling.column_profile import Baseline, CategoryProfile, NumberProfile, Profile, profile_like
from driftless.modelling.inputs import float_matrix
from driftless.modelling.prediction_columns import probability_columns
from driftless.monitoring.window import ColumnKind, Window

_INPUT = "input_"
_NUDGE = 2e-7
"""Relative. Equal outputs may differ by this: serving's are 32-bit, the baseline's 64-bit."""


def columns_to_read(project: Project, classes: Sequence[str]) -> dict[str, ColumnKind]:
    """Columns to read of each prediction: outputs, and inputs that are not personal data."""
    names: dict[str, ColumnKind] = {"prediction": "text", "score": "number"}
    names |= dict.fromkeys(probability_columns(classes), "number")
    for name, feature in project.features.columns.items():
        if not feature.pii:
            names[f"{_INPUT}{name}"] = "text" if feature.type == "category" else "number"
    return names


def profile_features(baseline: Baseline, window: Window) -> dict[str, Profile]:
    """Profile the window's inputs, numbers rounded to float32 as the model read them."""
    columns = {name.removeprefix(_INPUT): values for name, values in window.columns.items() if name.startswith(_INPUT)}
    numbers = [name for name, profile in baseline.features.items() if isinstance(profile, NumberProfile) and name in columns]
    matrix: NDArray[np.float32] = float_matrix(columns, numbers)
    found: dict[str, Profile] = {name: profile_like(baseline.features[name], matrix[row]) for row, name in enumerate(numbers)}
    for name, profile in baseline.features.items():
        if isinstance(profile, CategoryProfile) and name in columns:
            found[name] = profile_like(profile, columns[name])
    return found


def profile_outputs(project: Project, classes: Sequence[str], baseline: Baseline, window: Window) -> dict[str, Profile]:
    """Profile the window's predicted values or probabilities."""
    names = probability_columns(classes) or ["prediction"]
    if project.task == "binary":
        names = names[1:]  # P(false) mirrors P(true).
    found: dict[str, Profile] = {}
    for name in names:
        values = window.columns["score" if name == "prediction" else name]
        reference = baseline.outputs.get(name)
        if isinstance(reference, NumberProfile):
            found[name] = profile_like(reference, nudged(values, reference.minimum))
    return found


def nudged(values: NDArray[np.float64], lowest: float | None) -> NDArray[np.float64]:
    """Move serving's outputs a little down, off the bin edges, where rounding decides the bin.

    Outputs that equal the baseline's ``lowest`` stay: below it is the bin of what training never
    saw.
    """
    nudge = _NUDGE * np.maximum(1.0, np.abs(values))
    if lowest is None:
        return values
    return np.where(np.abs(values - lowest) <= nudge, lowest, values - nudge)
