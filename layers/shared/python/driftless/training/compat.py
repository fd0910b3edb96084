"""Every dependence on private or misbehaving parts of the training libraries, in one place.

Each function below names the part, what it restores and why. :data:`PINNED` lists the versions that this was written for: they
are the versions of the lock. Each function first checks the structure that it relies on, and the installed version where a
change could alter a model without an error, and raises :class:`~driftless.errors.UnsupportedVersion` when either differs.
After an upgrade: read the three functions against the new release, run ``tests/unit/training/test_compat.py``, then change
:data:`PINNED`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np
import onnx.helper
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from driftless.errors import UnsupportedVersion

PINNED: Mapping[str, str] = {"onnx": "1.23.2", "scikit-learn": "1.9.1", "skl2onnx": "1.20.0"}
"""Versions whose private parts are known; the same as in the lock of the training layer."""

_replacing = threading.RLock()


def require_pinned(*packages: str) -> None:
    """Check that the installed versions are the pinned ones.

    Raises
    ------
    UnsupportedVersion
        Naming the first package that differs.
    """
    for package in packages:
        installed = version(package)
        if installed != PINNED[package]:
            raise UnsupportedVersion(
                f"{package} {installed} is installed, but driftless.training.compat relies on private parts of "
                f"{package} {PINNED[package]}; install the locked version"
            )


@contextlib.contextmanager
def replaced(module: ModuleType, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Replace a function of a module for the length of a block, and restore it however the block ends.

    Blocks can be nested. A second thread waits until the block of the first has ended.

    Parameters
    ----------
    make : callable
        Receives the present function and returns its replacement.
    """
    with _replacing:
        present = getattr(module, name)
        setattr(module, name, make(present))
        try:
            yield
        finally:
            setattr(module, name, present)


@contextlib.contextmanager
def boolean_attributes_as_integers() -> Iterator[None]:
    """Let skl2onnx export histogram boosting: onnx accepts its lists of booleans as integers inside the block.

    skl2onnx 1.20 passes ``nodes_missing_value_tracks_true`` as a list of booleans. ``onnx.helper.make_attribute`` of onnx 1.23
    refuses booleans in a list of integers, so no histogram boosting model could be exported.

    Raises
    ------
    UnsupportedVersion
        When onnx or skl2onnx is not the pinned version, or ``make_attribute`` is missing.
    """
    require_pinned("onnx", "skl2onnx")
    if not callable(getattr(onnx.helper, "make_attribute", None)):
        raise UnsupportedVersion("onnx.helper has no function make_attribute, through which skl2onnx writes attributes")

    def accepting_booleans(make_attribute: Callable[..., Any]) -> Callable[..., Any]:
        def accept(key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(value, list | tuple) and any(isinstance(item, bool | np.bool_) for item in value):
                value = [int(item) for item in value]
            return make_attribute(key, value, *args, **kwargs)

        return accept

    with replaced(onnx.helper, "make_attribute", accepting_booleans):
        yield


def threshold_arrays(model: HistGradientBoostingClassifier | HistGradientBoostingRegressor) -> list[NDArray[np.float64]]:
    """The split thresholds of a fitted histogram boosting model, one writable array per tree.

    scikit-learn has no public access to the trees of histogram boosting. Their thresholds must be rounded before the export
    (:mod:`driftless.training.fit.thresholds`). They are the field ``num_threshold`` of the node arrays in ``_predictors``.

    Raises
    ------
    UnsupportedVersion
        When scikit-learn is not the pinned version, or the trees have another structure.
    """
    require_pinned("scikit-learn")
    try:
        arrays = [tree.nodes["num_threshold"] for trees in model._predictors for tree in trees]
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise UnsupportedVersion(f"{type(model).__name__}._predictors holds no trees with nodes['num_threshold']") from error
    if not all(isinstance(array, np.ndarray) and array.dtype == np.float64 and array.flags.writeable for array in arrays):
        raise UnsupportedVersion(f"the thresholds of {type(model).__name__} are no writable arrays of float64")
    return arrays


def check_parameters(estimator: BaseEstimator) -> None:
    """Check an estimator's parameters without fitting it.

    scikit-learn checks parameters in ``fit`` by the private method ``_validate_params``. A project's parameters are checked
    before there is data to fit.

    Raises
    ------
    UnsupportedVersion
        When the estimator lacks the method.
    ValueError, TypeError
        As scikit-learn raises them, when a parameter has a value that it does not accept.
    """
    validate = getattr(estimator, "_validate_params", None)
    if validate is None:
        raise UnsupportedVersion(f"{type(estimator).__name__} has no method _validate_params")
    validate()
