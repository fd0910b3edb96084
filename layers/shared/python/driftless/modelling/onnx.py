"""An ONNX model and its interface: columns in, labels and scores out.

The inference function and the score step both predict through this class, so the gates judge exactly what would serve. It needs
numpy and ONNX Runtime only, and it never unpickles: an ONNX graph is data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from driftless.errors import IntegrityError
from driftless.modelling.inputs import Values, float_matrix, require, string_column
from driftless.modelling.interface import Dtype, Interface

_native = onnxruntime.capi.onnxruntime_pybind11_state
# Its errors have no common base class; a serving process must handle each of them.
_LOAD_ERRORS = tuple(found for found in vars(_native).values() if isinstance(found, type) and issubclass(found, Exception))


@dataclass(frozen=True)
class Predictions:
    """Outputs for n rows.

    Attributes
    ----------
    labels : list of bool, str or float, length n
        Binary: bool. Multiclass: the class name. Regression: the predicted value.
    scores : ndarray of float64
        Classifiers: probabilities of shape (n, n_classes) in the order of the model's ``classes``. Regression: the
        predicted values, shape (n,).
    """

    labels: list[Any]
    scores: NDArray[np.float64]


class OnnxModel:
    """A loaded ONNX graph.

    Parameters
    ----------
    content : bytes
        The ONNX file; the caller has checked its digest.
    interface : Interface
        Its inputs, outputs and classes.
    threads : int
        Threads of one prediction; 1 fits a function with one virtual CPU.

    Raises
    ------
    IntegrityError
        When the bytes are not an ONNX graph, or not the one that the interface describes.
    """

    def __init__(self, content: bytes, interface: Interface, threads: int = 1) -> None:
        self.task = interface.task
        self.classes = interface.classes or ()
        inputs = [(item.name, item.feature, item.dtype) for item in interface.inputs]
        self.features: tuple[str, ...] = tuple(feature for _, feature, _ in inputs)
        self.dtypes: dict[str, Dtype] = {feature: dtype for _, feature, dtype in inputs}
        self._floats = [(name, feature) for name, feature, dtype in inputs if dtype != "string"]
        self._strings = [(name, feature) for name, feature, dtype in inputs if dtype == "string"]
        self._float_features = [feature for _, feature in self._floats]
        label, scores = interface.outputs.label, interface.outputs.scores
        self._outputs = [label, scores] if label is not None else [scores]
        self._session = _session(content, threads)
        _agree("inputs", {item.name for item in self._session.get_inputs()}, {name for name, _, _ in inputs})
        _agree("outputs", {item.name for item in self._session.get_outputs()}, set(self._outputs))

    def predict(self, columns: Mapping[str, Values]) -> Predictions:
        """Predict n rows.

        Parameters
        ----------
        columns : mapping of feature name to a list or ndarray of length n
            Null is None, NaN or masked. Columns that are not features are ignored.

        Raises
        ------
        BadRequest
            When a feature is missing, lengths differ, or a numeric value is not a number.
        """
        rows = require(columns, self.features)
        if rows == 0:
            return Predictions([], np.empty((0, len(self.classes)) if self.classes else 0))
        feed: dict[str, NDArray[Any]] = {}
        if self._floats:
            matrix = float_matrix(columns, self._float_features)
            for position, (name, _) in enumerate(self._floats):
                feed[name] = matrix[position].reshape(rows, 1)
        for name, feature in self._strings:
            feed[name] = string_column(columns[feature]).reshape(rows, 1)
        outputs = self._session.run(self._outputs, feed)
        scores = np.asarray(outputs[-1], dtype=np.float64)
        if not self.classes:
            scores = scores.reshape(rows)
            return Predictions(scores.tolist(), scores)
        labels = outputs[0].tolist()
        return Predictions([bool(label) for label in labels] if self.task == "binary" else labels, scores)


def _session(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A spinning thread would take time from the function's single virtual CPU.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _LOAD_ERRORS as error:
        raise IntegrityError(f"not a loadable ONNX graph: {error}") from error


def _agree(what: str, found: set[str], described: set[str]) -> None:
    if not described <= found or (what == "inputs" and found != described):
        raise IntegrityError(f"the interface describes {what} {sorted(described)}, the ONNX graph has {sorted(found)}")
