"""The parity gate: the ONNX graph must predict the parity rows as scikit-learn does.

A probability may differ by ``TOLERANCE`` (float32 sums of a hundred trees differ by about 1e-6, wrong splits by far more). A
predicted value may differ by that share of itself, or of the interquartile range of all where that is larger. A class may differ
only where the two best classes are tied within the tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftless.modelling.metrics import Floats
from driftless.modelling.prediction_columns import CHALLENGE, probability_columns
from driftless.records import GateResult

TOLERANCE = 1e-4
WORST = 3
Columns = Mapping[str, NDArray[Any]]


def parity_gate(classes: Sequence[str], rows: Columns, expected: Columns, observed: Columns) -> GateResult:
    """Compare outputs on the parity rows; a failure names the worst rows.

    Parameters
    ----------
    classes : sequence of str
        The model's classes, empty for regression.
    rows : mapping
        The parity rows, with their challenges in words.
    expected, observed : mapping
        Output columns of scikit-learn and of ONNX Runtime.
    """
    required = f"outputs within {TOLERANCE:g} of scikit-learn's, no label mismatch except ties"
    count = len(rows[CHALLENGE])
    if not len(expected["prediction"]) == len(observed["prediction"]) == count:
        return _result(False, None, required, f"{count} parity rows, but {len(observed['prediction'])} ONNX outputs")
    differences, mismatched = _compared(classes, expected, observed)
    # A NaN output differs from everything.
    differences = np.where(np.isfinite(differences), differences, np.inf)
    wrong = (differences > TOLERANCE) | mismatched
    worst = float(differences.max(initial=0.0))
    shown = worst if np.isfinite(worst) else None
    if not wrong.any():
        return _result(True, shown, required, f"all {count} parity rows agree, the worst within {worst:.1e}")
    order = np.lexsort((-differences, ~wrong))[:WORST]
    named = "; ".join(
        f"{rows[CHALLENGE][row]}: scikit-learn {_shown(classes, expected, row)}, ONNX {_shown(classes, observed, row)}"
        for row in order
        if wrong[row]
    )
    reason = (
        f"{int(wrong.sum())} of {count} parity rows differ ({int(mismatched.sum())} in their label), worst {worst:.2g}: {named}"
    )
    return _result(False, shown, required, reason)


def _compared(classes: Sequence[str], expected: Columns, observed: Columns) -> tuple[Floats, NDArray[np.bool_]]:
    if not classes:
        wanted, got = np.asarray(expected["prediction"], np.float64), np.asarray(observed["prediction"], np.float64)
        low, high = np.quantile(wanted, [0.25, 0.75])
        scale = np.maximum(np.abs(wanted), max(float(high - low), 1e-12))
        return np.abs(got - wanted) / scale, np.zeros(len(wanted), dtype=bool)
    names = probability_columns(classes)
    wanted, got = (np.column_stack([np.asarray(columns[name], np.float64) for name in names]) for columns in (expected, observed))
    best = np.sort(wanted, axis=1)
    tied = best[:, -1] - best[:, -2] <= 2 * TOLERANCE
    return np.abs(got - wanted).max(axis=1), (expected["prediction"] != observed["prediction"]) & ~tied


def _shown(classes: Sequence[str], columns: Columns, row: int) -> str:
    label = columns["prediction"][row]
    if not classes:
        return f"{label:.6g}"
    return f"{label} {max(columns[name][row] for name in probability_columns(classes)):.6g}"


def _result(passed: bool, observed: float | None, required: str, reason: str) -> GateResult:
    return GateResult(gate="parity", passed=passed, observed=observed, required=required, reason=reason)
