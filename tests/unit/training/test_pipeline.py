"""The Pipeline's own promises: rare and unknown categories, nulls, determinism."""

from __future__ import annotations

import numpy as np
import pytest

from driftless.training.pipeline import RARE, features_frame, fit, predict, target_values
from tests.unit.training.fit import scene

LOGISTIC = "sklearn.linear_model.LogisticRegression"


def _changed(columns: scene.Columns, colour: str | None) -> scene.Columns:
    return {**columns, "colour": np.full(len(columns["at"]), colour, dtype=object)}


@pytest.mark.parametrize("estimator", [None, LOGISTIC, "sklearn.ensemble.RandomForestClassifier"])
def test_a_rare_category_and_an_unknown_one_mean_the_same_and_null_means_something_else(estimator: str | None) -> None:
    project = scene.project(estimator=estimator)
    rows = scene.rows()
    rows["colour"][: RARE - 1] = "mauve"
    frame = features_frame(project, rows)
    pipeline = fit(project, {}, frame, target_values(project, rows["late"]))
    fresh = scene.rows(count=200, seed=3)
    predictions = {
        colour: predict(project, pipeline, features_frame(project, _changed(fresh, colour)))["p_true"]
        for colour in ("mauve", "never seen", "red", None, "")
    }
    assert np.array_equal(predictions["mauve"], predictions["never seen"])
    assert np.array_equal(predictions[None], predictions[""])
    assert not np.array_equal(predictions["red"], predictions["never seen"])


@pytest.mark.parametrize("estimator", [None, LOGISTIC])
def test_a_column_of_nothing_but_nulls_or_of_rare_categories_can_be_fitted(estimator: str | None) -> None:
    project = scene.project(estimator=estimator)
    rows = scene.rows()
    rows["speed"] = np.full(1200, np.nan)
    rows["colour"] = np.array([f"colour {index}" for index in range(1200)], dtype=object)
    frame = features_frame(project, rows)
    pipeline = fit(project, {}, frame, target_values(project, rows["late"]))
    assert np.isfinite(predict(project, pipeline, frame)["p_true"]).all()


def test_the_same_rows_fit_the_same_model() -> None:
    project = scene.project(estimator="sklearn.ensemble.RandomForestClassifier")
    rows = scene.rows()
    frame, target = features_frame(project, rows), target_values(project, rows["late"])
    first, second = (predict(project, fit(project, {"n_estimators": 5}, frame, target), frame) for _ in range(2))
    assert np.array_equal(first["p_true"], second["p_true"])


def test_targets_are_fitted_in_their_tasks_own_form() -> None:
    assert target_values(scene.project(), np.array([True, False])).tolist() == [1, 0]
    assert target_values(scene.project("regression"), np.array([1, 2])).dtype == np.float64
    classes = np.array(["low", "high", "middle"], dtype=object)
    assert target_values(scene.project("multiclass"), classes).tolist() == ["low", "high", "middle"]
