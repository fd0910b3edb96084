"""The estimators that a project may use, and how the inputs of each are prepared.

Each estimator of this allow-list has an ONNX conversion whose outputs the parity tests compare with scikit-learn's. What is
known to convert wrongly without an error is excluded by name (``categorical_features``) or by preparation (forests get no NaN).
The parity gate finds the rest.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from sklearn.base import BaseEstimator

from driftless.definition.project import Project
from driftless.training.compat import check_parameters

Preparation = Literal["trees_with_nulls", "trees", "linear"]


@dataclass(frozen=True)
class Kind:
    """What an allowed estimator predicts and how its inputs are prepared."""

    classifies: bool
    preparation: Preparation


ALLOWED: dict[str, Kind] = {
    "sklearn.ensemble.HistGradientBoostingClassifier": Kind(True, "trees_with_nulls"),
    "sklearn.ensemble.GradientBoostingClassifier": Kind(True, "trees"),
    "sklearn.ensemble.RandomForestClassifier": Kind(True, "trees"),
    "sklearn.ensemble.ExtraTreesClassifier": Kind(True, "trees"),
    "sklearn.tree.DecisionTreeClassifier": Kind(True, "trees"),
    "sklearn.linear_model.LogisticRegression": Kind(True, "linear"),
    "sklearn.neural_network.MLPClassifier": Kind(True, "linear"),
    "sklearn.ensemble.HistGradientBoostingRegressor": Kind(False, "trees_with_nulls"),
    "sklearn.ensemble.GradientBoostingRegressor": Kind(False, "trees"),
    "sklearn.ensemble.RandomForestRegressor": Kind(False, "trees"),
    "sklearn.ensemble.ExtraTreesRegressor": Kind(False, "trees"),
    "sklearn.tree.DecisionTreeRegressor": Kind(False, "trees"),
    "sklearn.linear_model.LinearRegression": Kind(False, "linear"),
    "sklearn.linear_model.Ridge": Kind(False, "linear"),
    "sklearn.linear_model.Lasso": Kind(False, "linear"),
    "sklearn.linear_model.ElasticNet": Kind(False, "linear"),
    "sklearn.neural_network.MLPRegressor": Kind(False, "linear"),
}
"""Allowed estimators by dotted path."""

_RESERVED = {
    "categorical_features": "its ONNX form predicts other labels; categories are encoded before the model",
    "monotonic_cst": "it counts encoded columns, which the project does not name",
    "interaction_cst": "it counts encoded columns, which the project does not name",
    "random_state": "model.seed sets it",
    "n_jobs": "the function sets it",
    "verbose": "a function has no console",
    "warm_start": "each fit starts anew",
    "copy_X": "the function sets it",
    "init": "only the default value is exported faithfully",
}


def kind_of(project: Project) -> Kind:
    """The preparation of a project's estimator.

    Raises
    ------
    BadProject
        When it is not allowed, or not for the project's task.
    """
    path = project.model.estimator
    kind = ALLOWED.get(path)
    fitting = [name for name, each in ALLOWED.items() if each.classifies == (project.task != "regression")]
    if kind is None:
        close = get_close_matches(path, fitting, n=1)
        fix = f'write "{close[0]}"' if close else f"write one of {', '.join(fitting)}"
        raise project.wrong("model.estimator", f"{path!r} is not an allowed estimator", fix)
    if path not in fitting:
        raise project.wrong("model.estimator", f"{path!r} does not support {project.task}", f"write one of {', '.join(fitting)}")
    return kind


def build(project: Project, parameters: Mapping[str, Any]) -> BaseEstimator:
    """An unfitted estimator with the project's fixed parameters, overlaid by a candidate's.

    Raises
    ------
    BadProject
        Naming the parameter that does not exist, is set by Driftless, or has a value that scikit-learn refuses.
    """
    kind_of(project)
    module, _, name = project.model.estimator.rpartition(".")
    made = getattr(importlib.import_module(module), name)()
    known = made.get_params()
    merged = {**project.model.parameters, **parameters}
    for parameter in merged:
        key = f"model.search.{parameter}" if parameter in parameters else f"model.parameters.{parameter}"
        if parameter in _RESERVED:
            raise project.wrong(key, f"{name} must not be given {parameter!r}: {_RESERVED[parameter]}", "remove it")
        if parameter not in known:
            close = get_close_matches(parameter, list(known), n=1)
            raise project.wrong(key, f"{name} has no parameter {parameter!r}", f"write {close[0]}" if close else "remove it")
    ours = {"random_state": project.model.seed} if "random_state" in known else {}
    made.set_params(**{key: tuple(value) if isinstance(value, list) else value for key, value in merged.items()}, **ours)
    try:
        check_parameters(made)
    except (TypeError, ValueError) as error:
        culprit = next((name for name in merged if f"'{name}'" in str(error)), "")
        section = "search" if culprit in parameters else "parameters"
        raise project.wrong(f"model.{section}.{culprit}", str(error), "write a value that scikit-learn accepts") from error
    return made


def check(project: Project) -> None:
    """Check the estimator with its fixed parameters and every value of the search space, one by one.

    Raises
    ------
    BadProject
        For the first that is wrong.
    """
    build(project, {})
    for parameter, values in project.model.search.items():
        for value in values:
            build(project, {parameter: value})
