"""One scikit-learn Pipeline from raw feature columns to predictions, the same for tuning and fitting.

Everything that depends on training statistics is inside it, and so inside the ONNX graph. Categories with fewer than ``RARE``
training rows, and unknown ones, are encoded alike: ordinal -1 for trees, all zeros for linear models. Known categories are listed
explicitly, because explicit lists convert faithfully to ONNX and scikit-learn's handling of infrequent categories does not. A
null category is the category ``""``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from driftless.definition.project import Project
from driftless.errors import BadProject, CandidateRefused, NotEnoughData
from driftless.modelling.inputs import Values, float_matrix, require, string_column
from driftless.modelling.interface import dtype_of
from driftless.modelling.metrics import class_name
from driftless.modelling.prediction_columns import output_columns
from driftless.training.estimators import Preparation, build, kind_of

RARE = 20
"""A category needs this many training rows to be encoded on its own."""
_SHOWN_REASON = 300


def features_frame(project: Project, columns: Mapping[str, Values]) -> pandas.DataFrame:
    """The model's inputs in the convention of ``driftless.modelling.inputs``: float32 columns and object columns of str."""
    names = list(project.features.columns)
    require(columns, names)
    floats = [name for name in names if dtype_of(project.features.columns[name].type) == "float"]
    matrix = float_matrix(columns, floats)
    ready: dict[str, pandas.Series] = {}
    for name in names:
        if name in floats:
            ready[name] = pandas.Series(matrix[floats.index(name)])
        else:
            ready[name] = pandas.Series(string_column(columns[name]), dtype=object)
    return pandas.DataFrame(ready)


def target_values(project: Project, values: NDArray[Any]) -> NDArray[Any]:
    """The target as fitted: int64 0 or 1, class names (object), or float64.

    Raises
    ------
    BadProject
        When a value is not one of ``target.classes``.
    NotEnoughData
        When fewer than two classes occur, or a listed class does not.
    """
    if project.task == "regression":
        return np.asarray(values, dtype=np.float64)
    if project.task == "binary":
        binary = np.asarray(values, dtype=bool).astype(np.int64)
        if len(np.unique(binary)) < 2:
            raise NotEnoughData(f"the target {project.target.name!r} has only one value in the {len(binary)} training rows")
        return binary
    named = np.array([class_name(value) for value in values], dtype=object)
    classes, found = set(project.target.classes or ()), set(named.tolist())
    if found - classes:
        unknown = ", ".join(sorted(found - classes))
        fix = "list every class that the target expression can return"
        raise BadProject(f"projects/{project.name}/project.toml", "target.classes", f"the data has other classes: {unknown}", fix)
    if classes - found:
        raise NotEnoughData(f"no training row has class {', '.join(sorted(classes - found))}")
    return named


def fit(project: Project, parameters: Mapping[str, Any], frame: pandas.DataFrame, target: NDArray[Any]) -> Pipeline:
    """Fit a fresh Pipeline.

    Parameters
    ----------
    parameters : mapping
        The candidate's parameters, over ``model.parameters``.
    frame : DataFrame of shape (n, n_features)
        From :func:`features_frame`.
    target : ndarray of shape (n,)
        From :func:`target_values`.

    Raises
    ------
    CandidateRefused
        When each parameter is allowed, but scikit-learn refuses them together, or with these rows.
    """
    estimator = build(project, parameters)
    columns = _preparation(project, kind_of(project).preparation, frame)
    try:
        return Pipeline([("columns", columns), ("model", estimator)]).fit(frame, target)
    except (ValueError, TypeError, ArithmeticError) as error:
        given = ", ".join(f"{name} = {value!r}" for name, value in {**project.model.parameters, **parameters}.items())
        personal = any(column.pii for column in project.features.columns.values())
        reason = type(error).__name__ if personal else " ".join(str(error).split())[:_SHOWN_REASON]
        raise CandidateRefused(f"{project.model.estimator} with {given or 'no parameters'}: {reason}") from error


def class_names(project: Project, pipeline: Pipeline) -> list[str]:
    """The model's classes in the order of its probability columns; empty for regression."""
    if project.task == "regression":
        return []
    return ["false", "true"] if project.task == "binary" else [str(name) for name in pipeline.classes_]


def predict(project: Project, pipeline: Pipeline, frame: pandas.DataFrame) -> dict[str, NDArray[Any]]:
    """scikit-learn's own predictions as output columns."""
    classes = class_names(project, pipeline)
    labels = pipeline.predict(frame)
    if not classes:
        return output_columns(labels, np.asarray(labels, dtype=np.float64), classes)
    named = labels.astype(bool) if project.task == "binary" else labels
    return output_columns(named, np.asarray(pipeline.predict_proba(frame), dtype=np.float64), classes)


def _preparation(project: Project, preparation: Preparation, frame: pandas.DataFrame) -> ColumnTransformer:
    categories = [name for name, column in project.features.columns.items() if column.type == "category"]
    numbers = [name for name in project.features.columns if name not in categories]
    steps: list[tuple[str, BaseEstimator | str, list[str]]] = []
    # Histogram boosting cannot bin a column without values. Filled with zeros it is constant, and no tree splits on it.
    empty = [name for name in numbers if preparation == "trees_with_nulls" and frame[name].isna().all()]
    present = [name for name in numbers if name not in empty]
    if present:
        steps.append(("numbers", _numbers(preparation), present))
    if empty:
        steps.append(("empty", _numbers("trees"), empty))
    if categories:
        known = [_known(frame[name].to_numpy()) for name in categories]
        steps.append(("categories", _categories(preparation, known), categories))
    return ColumnTransformer(steps, remainder="drop", sparse_threshold=0.0)


def _numbers(preparation: Preparation) -> BaseEstimator | str:
    if preparation == "trees_with_nulls":
        return "passthrough"
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    return imputer if preparation == "trees" else Pipeline([("fill", imputer), ("scale", StandardScaler())])


def _categories(preparation: Preparation, known: Sequence[NDArray[np.object_]]) -> BaseEstimator:
    if preparation == "linear":
        return OneHotEncoder(categories=list(known), handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    return OrdinalEncoder(categories=list(known), handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.float32)


def _known(values: NDArray[np.object_]) -> NDArray[np.object_]:
    names, counts = np.unique(values.astype(str), return_counts=True)
    known = names[counts >= RARE].tolist()
    return np.array(known or [str(names[np.argmax(counts)])], dtype=object)
