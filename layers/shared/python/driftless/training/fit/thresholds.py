"""Histogram boosting compares float64 thresholds; ONNX trees hold float32 ones.

A threshold is the midpoint of two training values. Where those are neighbours in float32 (seconds since 1970 are), rounding the
midpoint to nearest moves one of them to the other side, and the graph answers differently without a word. Inputs are float32 by
convention, so a threshold rounded *down* to float32 parts them exactly as before: ``x <= t`` and ``x <= floor32(t)`` agree for
every float32 ``x``. The fitted Pipeline is settled this way before anybody predicts with it or exports it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline


def settle_thresholds(pipeline: Pipeline) -> Pipeline:
    """Round the thresholds of a fitted histogram boosting model down to float32, in place; others are left alone."""
    model = pipeline.steps[-1][1]
    if isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        for trees in model._predictors:
            for tree in trees:
                tree.nodes["num_threshold"] = floor32(tree.nodes["num_threshold"])
    return pipeline


def floor32(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest float32 not above each value, as float64."""
    with np.errstate(over="ignore"):
        near = values.astype(np.float32)
    below = np.where(near.astype(np.float64) > values, np.nextafter(near, np.float32(-np.inf)), near)
    return np.asarray(below, dtype=np.float64)
