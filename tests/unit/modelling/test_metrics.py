"""Every metric against scikit-learn's, weighted and not, and what happens where a metric is undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as reference

from driftless.definition.learning import METRICS
from driftless.modelling.metrics import CLIP, Scored, calibration_bins, class_positions, measure, measure_all, row_losses

BINARY, MULTI = ("false", "true"), ("a", "b", "c")


def _binary(count: int = 500, seed: int = 0) -> Scored:
    generator = np.random.default_rng(seed)
    # Rounded, so that scores tie.
    p = generator.random(count).round(2)
    truth = (generator.random(count) < p).astype(np.int64)
    return Scored("binary", BINARY, truth, np.column_stack([1 - p, p]), (p > 0.5).astype(np.int64))


def _multiclass(count: int = 500) -> Scored:
    generator = np.random.default_rng(1)
    scores = generator.dirichlet([1, 1, 1], count)
    truth = np.array([generator.choice(3, p=row) for row in scores], dtype=np.int64)
    return Scored("multiclass", MULTI, truth, scores, scores.argmax(axis=1).astype(np.int64))


def _regression(count: int = 500) -> Scored:
    generator = np.random.default_rng(2)
    truth = generator.normal(10, 3, count)
    return Scored("regression", (), truth, truth + generator.normal(0.5, 2, count), np.zeros(count, dtype=np.int64))


@pytest.mark.parametrize("weighted", [False, True])
def test_binary_metrics_are_scikit_learns(weighted: bool) -> None:
    scored = _binary()
    weights = np.random.default_rng(3).integers(0, 4, 500).astype(np.float64) if weighted else np.ones(500)
    y, p, label = scored.truth, scored.positive, scored.predicted
    expected = {
        "log_loss": reference.log_loss(y, np.clip(p, CLIP, 1 - CLIP), sample_weight=weights),
        "brier": reference.brier_score_loss(y, p, sample_weight=weights),
        "auc": reference.roc_auc_score(y, p, sample_weight=weights),
        "average_precision": reference.average_precision_score(y, p, sample_weight=weights),
        "accuracy": reference.accuracy_score(y, label, sample_weight=weights),
        "f1_macro": reference.f1_score(y, label, average="macro", sample_weight=weights),
    }
    assert {name: measure(name, scored, weights) for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_multiclass_metrics_are_scikit_learns(weighted: bool) -> None:
    scored = _multiclass()
    weights = np.random.default_rng(3).integers(0, 4, 500).astype(np.float64) if weighted else np.ones(500)
    expected = {
        "log_loss": reference.log_loss(scored.truth, scored.scores, sample_weight=weights),
        "accuracy": reference.accuracy_score(scored.truth, scored.predicted, sample_weight=weights),
        "f1_macro": reference.f1_score(scored.truth, scored.predicted, average="macro", sample_weight=weights),
    }
    assert {name: measure(name, scored, weights) for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_regression_metrics_are_scikit_learns(weighted: bool) -> None:
    scored = _regression()
    weights = np.random.default_rng(3).integers(0, 4, 500).astype(np.float64) if weighted else np.ones(500)
    expected = {
        "mae": reference.mean_absolute_error(scored.truth, scored.scores, sample_weight=weights),
        "rmse": reference.root_mean_squared_error(scored.truth, scored.scores, sample_weight=weights),
        "r2": reference.r2_score(scored.truth, scored.scores, sample_weight=weights),
    }
    assert {name: measure(name, scored, weights) for name in expected} == pytest.approx(expected)


def test_calibration_error_by_hand() -> None:
    p = np.array([0.05, 0.05, 0.95, 1.0])
    scored = Scored("binary", BINARY, np.array([0, 1, 1, 1]), np.column_stack([1 - p, p]), (p > 0.5).astype(np.int64))
    # Two rows predicted 0.05 of which half are true, two predicted 0.975 on average of which all are.
    assert measure("calibration_error", scored) == pytest.approx((2 * 0.45 + 2 * 0.025) / 4)
    assert [(row["rows"], row["observed"]) for row in calibration_bins(scored)] == [(2, 0.5), (2, 1.0)]


@pytest.mark.parametrize("truth", [0, 1])
def test_a_window_of_one_class_has_no_auc_but_a_finite_log_loss(truth: int) -> None:
    p = np.array([0.0, 0.3, 1.0])
    scored = Scored("binary", BINARY, np.full(3, truth), np.column_stack([1 - p, p]), (p > 0.5).astype(np.int64))
    found = measure_all(scored)
    assert "auc" not in found and math.isnan(measure("auc", scored))
    assert math.isfinite(found["log_loss"])
    assert ("average_precision" in found) == (truth == 1)


def test_nothing_measured_is_nan_and_an_unknown_class_costs_the_most() -> None:
    nothing = _binary().take(np.zeros(500, dtype=bool))
    assert measure_all(nothing) == {} and all(math.isnan(measure(name, nothing)) for name in ("auc", "log_loss"))
    unknown = Scored("multiclass", MULTI, np.array([-1]), np.array([[0.2, 0.3, 0.5]]), np.array([2]))
    assert measure("log_loss", unknown) == pytest.approx(-math.log(CLIP))
    assert measure("accuracy", unknown) == 0


def test_every_metric_of_the_project_definition_is_measured() -> None:
    for scored in (_binary(), _multiclass(), _regression()):
        assert set(measure_all(scored)) == {name for name, tasks in METRICS.items() if scored.task in tasks}


def test_row_losses_average_to_their_metric() -> None:
    for metric, scored in (("log_loss", _binary()), ("brier", _binary()), ("accuracy", _multiclass()), ("mae", _regression())):
        losses = row_losses(metric, scored)
        assert losses is not None and losses.mean() == pytest.approx(measure(metric, scored))
    assert row_losses("auc", _binary()) is None


def test_class_positions_of_booleans_and_unknown_classes() -> None:
    assert class_positions([True, np.False_, "true", "other"], BINARY).tolist() == [1, 0, 1, -1]
