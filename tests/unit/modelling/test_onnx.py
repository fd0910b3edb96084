"""The predictor that serving and scoring share: conventions, shapes, and what it refuses to load."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from driftless.errors import BadRequest, IntegrityError
from driftless.modelling.interface import Interface, ModelOutputs, parse_interface
from driftless.modelling.onnx import OnnxModel
from driftless.testing.memory import MemoryStore
from driftless.training.pipeline import features_frame
from tests.unit.training.fit import scene

ONE: dict[str, Any] = {"speed": [55.5], "count": [3], "wet": [True], "colour": ["red"]}


def _trained(task: str) -> tuple[bytes, Interface]:
    store = MemoryStore()
    dataset = scene.freeze(store, scene.rows(task), scene.rows(task, 100, start=40))
    model = scene.train(store, scene.project(task), dataset)
    return store.get(model.onnx.key), parse_interface(model.interface.key, store.get(model.interface.key))


@pytest.fixture(scope="module")
def binary() -> tuple[bytes, Interface]:
    return _trained("binary")


def test_binary_labels_are_bools_and_scores_are_by_class(binary: tuple[bytes, Interface]) -> None:
    model = OnnxModel(*binary)
    found = model.predict({name: values * 3 for name, values in ONE.items()})
    assert model.classes == ("false", "true") and found.scores.shape == (3, 2)
    assert all(isinstance(label, bool) for label in found.labels)
    assert np.allclose(found.scores.sum(axis=1), 1)
    assert found.labels == (found.scores[:, 1] > 0.5).tolist()


def test_multiclass_labels_are_class_names() -> None:
    model = OnnxModel(*_trained("multiclass"))
    found = model.predict(scene.features(scene.rows("multiclass", 50, seed=3)))
    assert found.scores.shape == (50, 3)
    assert found.labels == [model.classes[index] for index in found.scores.argmax(axis=1)]


def test_regression_returns_values() -> None:
    model = OnnxModel(*_trained("regression"))
    found = model.predict(ONE)
    assert model.classes == () and found.scores.shape == (1,) and found.labels == found.scores.tolist()
    assert 50 < found.labels[0] < 150


def test_every_way_to_say_null_means_the_same(binary: tuple[bytes, Interface]) -> None:
    model = OnnxModel(*binary)
    ways = [
        {**ONE, "speed": [None], "colour": [None]},
        {**ONE, "speed": np.array([np.nan]), "colour": [""]},
        {**ONE, "speed": np.ma.masked_array([9.0], mask=[True]), "colour": np.ma.masked_array(["x"], mask=[True], dtype=object)},
    ]
    scores = [model.predict(way).scores.tolist() for way in ways]
    assert scores[0] == scores[1] == scores[2] != model.predict(ONE).scores.tolist()


def test_huge_numbers_are_predicted_as_by_the_pipeline(binary: tuple[bytes, Interface]) -> None:
    model = OnnxModel(*binary)
    huge = model.predict({**ONE, "speed": [1e300]}).scores
    assert np.isfinite(huge).all() and huge.tolist() == model.predict({**ONE, "speed": [float("inf")]}).scores.tolist()
    assert np.isfinite(features_frame(scene.project(), {**ONE, "speed": [1e300]})["speed"]).all()


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({name: values for name, values in ONE.items() if name != "wet"}, "missing: wet"),
        ({**ONE, "speed": [1.0, 2.0]}, "differ in length"),
        ({**ONE, "speed": ["fast"]}, "is not a number"),
        ({**ONE, "count": [10**400]}, "is not a number"),
        ({**ONE, "speed": [[1.0, 2.0]]}, "is not a number"),
    ],
)
def test_malformed_columns_are_bad_requests(binary: tuple[bytes, Interface], columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        OnnxModel(*binary).predict(columns)


def test_no_rows_are_no_predictions(binary: tuple[bytes, Interface]) -> None:
    found = OnnxModel(*binary).predict({name: [] for name in ONE})
    assert found.labels == [] and found.scores.shape == (0, 2)


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x80\x04N."])
def test_bytes_that_are_no_graph_are_refused(binary: tuple[bytes, Interface], content: bytes) -> None:
    with pytest.raises(IntegrityError, match="not a loadable ONNX graph"):
        OnnxModel(content, binary[1])


@pytest.mark.parametrize("name", ["RuntimeException", "EPFail", "EngineError", "NoSuchFile", "Fail"])
def test_whatever_the_runtime_raises_at_loading_is_a_refusal(
    binary: tuple[bytes, Interface], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kind = getattr(onnxruntime.capi.onnxruntime_pybind11_state, name)

    def refuses(*_: object, **__: object) -> None:
        raise kind("no")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuses)
    with pytest.raises(IntegrityError, match="not a loadable ONNX graph"):
        OnnxModel(*binary)


def test_an_interface_of_another_graph_is_refused(binary: tuple[bytes, Interface]) -> None:
    content, interface = binary
    with pytest.raises(IntegrityError, match="inputs"):
        OnnxModel(content, replace(interface, inputs=interface.inputs[1:]))
    with pytest.raises(IntegrityError, match="outputs"):
        OnnxModel(content, replace(interface, outputs=ModelOutputs("label", "elsewhere")))


def test_the_predictor_imports_no_training_library() -> None:
    heavy = {"sklearn", "pandas", "boto3", "duckdb"}
    code = f"import sys, driftless.modelling.onnx; print(sorted({{name.split('.')[0] for name in sys.modules}} & {heavy}))"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == "[]"
