"""The parity gate refuses the conversions that skl2onnx is known to get wrong, and passes rounding.

Each wrong case is fitted and converted for real, past the allow-list that shuts it out elsewhere: the gate must see it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import skl2onnx
from numpy.typing import NDArray
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import Pipeline

from driftless.evaluation.parity import TOLERANCE, parity_gate
from driftless.modelling.onnx import OnnxModel
from driftless.modelling.prediction_columns import CHALLENGE, output_columns
from driftless.records import GateResult
from driftless.training.compat import boolean_attributes_as_integers
from driftless.training.fit.export import interface
from driftless.training.fit.thresholds import settle_thresholds
from driftless.training.pipeline import predict
from tests.unit.training.fit import scene

CLASSES = ("false", "true")


def _numeric(features: dict[str, NDArray[Any]], target: NDArray[Any], model: BaseEstimator, settle: bool = False) -> GateResult:
    """Fit a model on raw float columns, convert it, and judge the graph on the same rows."""
    import pandas

    definition = scene.project(
        features={"base": "events", "columns": {name: {"type": "number", "nullable": True} for name in features}}
    )
    frame = pandas.DataFrame({name: values.astype(np.float32) for name, values in features.items()})
    columns = ColumnTransformer([("numbers", "passthrough", list(features))])
    pipeline = Pipeline([("columns", columns), ("model", model)]).fit(frame, target.astype(np.int64))
    if settle:
        settle_thresholds(pipeline)
    inputs = [(name, FloatTensorType([None, 1])) for name in features]
    with boolean_attributes_as_integers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = skl2onnx.convert_sklearn(pipeline, "wrong", inputs, options={id(model): {"zipmap": False}}, target_opset=18)
    predictions = OnnxModel(graph.SerializeToString(), interface(definition, pipeline)).predict(features)
    words = np.array([f"row {row}" for row in range(len(target))], dtype=object)
    expected = predict(definition, pipeline, frame)
    return parity_gate(CLASSES, {CHALLENGE: words}, expected, output_columns(predictions.labels, predictions.scores, CLASSES))


def test_histogram_boosting_with_categorical_features_is_refused() -> None:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 12, 2000).astype(np.float64)
    target = np.isin(codes, [1, 4, 7, 10]) ^ (generator.random(2000) < 0.1)
    gate = _numeric({"code": codes}, target, HistGradientBoostingClassifier(categorical_features=[0], max_iter=20))
    assert not gate.passed
    assert "in their label" in gate.reason and "scikit-learn" in gate.reason and "row " in gate.reason


def test_a_forest_that_learnt_from_nulls_is_refused() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(2000, 3))
    target = values[:, 0] + values[:, 1] > 0
    values[generator.random((2000, 3)) < 0.3] = np.nan
    features = {name: values[:, index] for index, name in enumerate(("a", "b", "c"))}
    gate = _numeric(features, target, RandomForestClassifier(n_estimators=20, random_state=0))
    assert not gate.passed


def _seconds() -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """Seconds since 1970 that are neighbours in float32 (128 s apart), each with its own target."""
    grid = np.float32(1_700_000_000) + np.arange(64, dtype=np.float32) * np.float32(128)
    seconds = np.repeat(grid, 40).astype(np.float64)
    return {"seconds": seconds}, np.repeat(np.random.default_rng(1).random(64) < 0.5, 40)


def test_rounded_thresholds_on_epoch_sized_numbers_are_refused_and_settled_ones_are_exact() -> None:
    features, target = _seconds()

    def fresh() -> BaseEstimator:
        return HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=5)

    assert not _numeric(features, target, fresh()).passed
    settled = _numeric(features, target, fresh(), settle=True)
    assert settled.passed, settled.reason


def _outputs(probabilities: list[float], labels: list[bool] | None = None) -> dict[str, NDArray[Any]]:
    p = np.array(probabilities)
    return output_columns(labels if labels is not None else (p > 0.5).tolist(), np.column_stack([1 - p, p]), CLASSES)


def _rows(count: int) -> dict[str, NDArray[Any]]:
    return {CHALLENGE: np.array([f"challenge {index}" for index in range(count)], dtype=object)}


def test_rounding_passes_and_anything_beyond_the_tolerance_does_not() -> None:
    assert parity_gate(CLASSES, _rows(2), _outputs([0.2, 0.9]), _outputs([0.2 + TOLERANCE / 2, 0.9])).passed
    gate = parity_gate(CLASSES, _rows(2), _outputs([0.2, 0.9]), _outputs([0.2, 0.9 + TOLERANCE * 2]))
    assert not gate.passed and "challenge 1" in gate.reason and "challenge 0" not in gate.reason


def test_a_label_may_differ_only_on_a_tie() -> None:
    assert parity_gate(CLASSES, _rows(1), _outputs([0.5], [False]), _outputs([0.5], [True])).passed
    gate = parity_gate(CLASSES, _rows(1), _outputs([0.9], [True]), _outputs([0.9], [False]))
    assert not gate.passed and "1 in their label" in gate.reason


def test_nan_and_missing_outputs_never_pass() -> None:
    assert not parity_gate(CLASSES, _rows(1), _outputs([0.2]), _outputs([float("nan")])).passed
    assert not parity_gate(CLASSES, _rows(2), _outputs([0.2, 0.3]), _outputs([0.2])).passed


@pytest.mark.parametrize(("shift", "passed"), [(lambda value: value * (1 + 1e-6), True), (lambda value: value * 1.01, False)])
def test_regression_is_judged_relative_to_its_scale(shift: Callable[[NDArray[Any]], NDArray[Any]], passed: bool) -> None:
    values = np.array([1000.0, 2000.0, 1e9])
    outputs = [output_columns(column, column, ()) for column in (values, shift(values))]
    assert parity_gate((), _rows(3), *outputs).passed is passed
