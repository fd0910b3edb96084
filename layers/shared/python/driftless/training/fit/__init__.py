"""Fit the best candidate, export it to ONNX, and write down what scoring, gates, serving and monitoring need to know."""

from driftless.training.fit.step import Train

__all__ = ["Train"]
