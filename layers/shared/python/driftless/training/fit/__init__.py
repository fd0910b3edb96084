"""The fit step: fit the best candidate, export it to ONNX, write what later steps need to know of the model."""

from driftless.training.fit.step import Train

__all__ = ["Train"]
