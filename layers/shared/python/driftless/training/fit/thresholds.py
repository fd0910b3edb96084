"""Round the thresholds of histogram boosting so that its ONNX graph splits rows as scikit-learn does.

Histogram boosting compares with float64 thresholds, ONNX trees with float32 ones. A threshold is the midpoint of two training
values. Where these are neighbours in float32 (seconds since 1970 are), rounding the midpoint to nearest moves one of them to the
other side, and the graph predicts something else without an error. Model inputs are float32, so a threshold rounded *down* to
float32 separates them as before: ``x <= t`` and ``x <= floor32(t)`` agree for every float32 ``x``. The fitted Pipeline is
changed before it predicts or is exported.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from driftless.training.compat import threshold_arrays


def settle_thresholds(pipeline: Pipeline) -> Pipeline:
    """Round the thresholds of a fitted histogram boosting model down to float32, in place; other models stay unchanged."""
    model = pipeline.steps[-1][1]
    if isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        for thresholds in threshold_arrays(model):
            thresholds[:] = floor32(thresholds)
    return pipeline


def floor32(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest float32 not above each value, as float64."""
    with np.errstate(over="ignore"):
        near = values.astype(np.float32)
    below = np.where(near.astype(np.float64) > values, np.nextafter(near, np.float32(-np.inf)), near)
    return np.asarray(below, dtype=np.float64)
