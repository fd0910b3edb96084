"""The private parts of pinned packages: they are as expected, they are still needed, and a change is an error."""

from __future__ import annotations

import re
import threading
import types
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx.helper
import pytest
import skl2onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

from driftless.errors import UnsupportedVersion
from driftless.training import compat
from driftless.training.fit.thresholds import floor32

ROOT = Path(__file__).parents[3]
OPSET = {"": 18, "ai.onnx.ml": 3}


def locked(lock: str) -> dict[str, str]:
    """Versions by package of one lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), flags=re.MULTILINE))


def boosting(kind: Any = HistGradientBoostingClassifier) -> Any:
    rows = np.random.default_rng(0).random((200, 2)).astype(np.float32)
    return kind(max_iter=3).fit(rows, (rows[:, 0] > 0.5).astype(int))


def exported(model: Any) -> Any:
    return skl2onnx.convert_sklearn(model, "x", [("rows", FloatTensorType([None, 2]))], target_opset=OPSET)


@pytest.mark.parametrize("package", sorted(compat.PINNED))
def test_the_pinned_version_is_the_locked_and_the_installed_one(package: str) -> None:
    assert compat.PINNED[package] == locked("layers/train/requirements.txt")[package]
    assert compat.PINNED[package] == locked("requirements/dev.txt")[package]
    assert compat.PINNED[package] == version(package)


@pytest.mark.parametrize("kind", [HistGradientBoostingClassifier, HistGradientBoostingRegressor])
def test_without_integers_for_booleans_histogram_boosting_has_no_onnx_form(kind: Any) -> None:
    model = boosting(kind)
    with pytest.raises(ValueError, match="Unable to create node"):
        exported(model)
    with compat.boolean_attributes_as_integers():
        assert exported(model).graph.node


def test_booleans_become_integers_inside_the_block_only() -> None:
    with compat.boolean_attributes_as_integers():
        assert list(onnx.helper.make_attribute("flags", [True, np.bool_(False)]).ints) == [1, 0]
        assert list(onnx.helper.make_attribute("flags", (3, 4)).ints) == [3, 4]
    with pytest.raises(TypeError, match="got a boolean"):
        onnx.helper.make_attribute("flags", [True])


def test_a_block_restores_the_function_after_an_error_and_when_nested() -> None:
    genuine = onnx.helper.make_attribute
    with pytest.raises(ZeroDivisionError), compat.boolean_attributes_as_integers():
        with compat.boolean_attributes_as_integers():
            pass
        assert list(onnx.helper.make_attribute("flags", [True]).ints) == [1]
        raise ZeroDivisionError
    assert onnx.helper.make_attribute is genuine


def test_a_second_thread_waits_for_the_end_of_the_block() -> None:
    module = types.ModuleType("module")
    module.name = lambda: "genuine"  # type: ignore[attr-defined]
    seen: list[str] = []

    def second() -> None:
        with compat.replaced(module, "name", lambda present: lambda: f"second {present()}"):
            seen.append(module.name())

    waiting = threading.Thread(target=second)
    with compat.replaced(module, "name", lambda present: lambda: f"first {present()}"):
        waiting.start()
        waiting.join(timeout=0.05)
        seen.append(module.name())
    waiting.join(timeout=10)
    assert seen == ["first genuine", "second genuine"]
    assert module.name() == "genuine"


@pytest.mark.parametrize("kind", [HistGradientBoostingClassifier, HistGradientBoostingRegressor])
def test_the_thresholds_are_those_of_the_trees_and_writable(kind: Any) -> None:
    model = boosting(kind)
    rows = np.random.default_rng(1).random((50, 2)).astype(np.float32)
    before = model.predict(rows)
    arrays = compat.threshold_arrays(model)
    assert len(arrays) == 3 and any((floor32(array) != array).any() for array in arrays), "rounding is needed"
    for array in arrays:
        array[:] = 2.0
    assert len(np.unique(model.predict(rows))) == 1 < len(np.unique(before))


def test_histogram_boosting_still_has_no_public_access_to_its_trees() -> None:
    public = [name for name in vars(boosting()) if not name.startswith("_")]
    assert not {"predictors_", "estimators_", "trees_", "tree_"} & set(public)


def test_trees_of_another_structure_are_an_error() -> None:
    model = boosting()
    model._predictors[0][0].nodes = np.zeros(3, dtype=[("threshold", np.float64)])
    with pytest.raises(UnsupportedVersion, match="num_threshold"):
        compat.threshold_arrays(model)
    model._predictors[0][0].nodes = np.zeros(3, dtype=[("num_threshold", np.float32)])
    with pytest.raises(UnsupportedVersion, match="float64"):
        compat.threshold_arrays(model)
    del model._predictors
    with pytest.raises(UnsupportedVersion, match="_predictors"):
        compat.threshold_arrays(model)


def test_parameters_are_checked_before_there_is_data() -> None:
    compat.check_parameters(LogisticRegression(C=2.0))
    wrong = LogisticRegression(C=-1.0)
    assert wrong.get_params()["C"] == -1.0, "neither the constructor nor set_params checks"
    with pytest.raises(ValueError, match="'C' parameter"):
        compat.check_parameters(wrong)
    wrong._validate_params = None
    with pytest.raises(UnsupportedVersion, match="_validate_params"):
        compat.check_parameters(wrong)


def test_a_missing_make_attribute_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(onnx.helper, "make_attribute")
    with pytest.raises(UnsupportedVersion, match="make_attribute"), compat.boolean_attributes_as_integers():
        pytest.fail("the block must not begin")


@pytest.mark.parametrize("package", sorted(compat.PINNED))
def test_another_installed_version_is_an_error(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "version", lambda name: "0.1" if name == package else compat.PINNED[name])
    needing: dict[str, Callable[[], object]] = {
        "onnx": lambda: compat.boolean_attributes_as_integers().__enter__(),
        "skl2onnx": lambda: compat.boolean_attributes_as_integers().__enter__(),
        "scikit-learn": lambda: compat.threshold_arrays(boosting()),
    }
    with pytest.raises(UnsupportedVersion, match=f"{package} 0.1 is installed.*install the locked version"):
        needing[package]()


def test_parameters_are_checked_with_any_version_that_has_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "version", lambda name: "0.1")
    with pytest.raises(ValueError, match="'C' parameter"):
        compat.check_parameters(LogisticRegression(C=-1.0))
