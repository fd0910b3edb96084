"""Judge a challenger by its scored predictions: parity, the naive predictor, absolute bounds, the champion, slices."""

from driftless.evaluation.step import Evaluate

__all__ = ["Evaluate"]
