"""Whole windows: harm by each metric, and the model's outputs compared with those of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from driftless.modelling.column_profile import profile_numbers
from tests.unit.monitoring.conftest import binary, inputs
from tests.unit.monitoring.windows import COUNT, Build, filled, signal


def test_outputs_that_repeat_the_lowest_of_training_are_no_drift(monitored: Build) -> None:
    """A forest predicts exactly 0 for many rows, and serving's outputs are 32-bit."""
    case = monitored(reference=0.56)
    generator = np.random.default_rng(3)
    levels = np.array([0.0, 0.125, 0.25, 0.7])

    def draw(count: int) -> np.ndarray:
        return generator.choice(levels, count, p=[0.4, 0.3, 0.2, 0.1])

    trained = draw(5000)
    case.crown(2, outputs={"p_false": profile_numbers(1 - trained), "p_true": profile_numbers(trained)})
    served = draw(COUNT).astype(np.float32).astype(np.float64)
    case.predict(inputs(generator, COUNT), binary(served), version=2)
    assert signal(case.judge().signals, "output.p_true").level == 0


@pytest.mark.parametrize(("task", "outputs"), [("regression", {"prediction"}), ("multiclass", {"p_no", "p_yes"})])
def test_outputs_of_every_task_are_compared_and_warn_at_most(monitored: Build, task: str, outputs: set[str]) -> None:
    case = monitored(task, reference=1.0)
    generator = np.random.default_rng(3)
    case.crown(2, outputs={name: profile_numbers(generator.beta(2, 5, 5000)) for name in outputs})
    outputs_by_row: list[dict[str, Any]] = [{"prediction": 9.0}] * COUNT
    if task == "multiclass":
        outputs_by_row = [{"prediction": "yes", "probabilities": {"no": 0.0, "yes": 1.0}}] * COUNT
    case.predict(inputs(generator, COUNT), outputs_by_row, version=2)
    record = case.judge()
    assert {item.name: item.level for item in record.signals if item.name.startswith("output.")} == {
        f"output.{name}": 1 for name in outputs
    }
    assert record.drift_level == 1


@pytest.mark.parametrize("days", [1, 2])
def test_one_or_two_days_are_never_an_alert(monitored: Build, days: int) -> None:
    case = monitored(reference=0.1)
    filled(case, wrong=0.5, days=days)
    record = case.judge()
    harm = signal(record.signals, "harm")
    assert (record.harm_level, harm.level) == (1, 1)
    assert f"{days} days are too few" in harm.reason


@pytest.mark.parametrize(
    ("metric", "expected", "value", "level"),
    [("mae", 1.0, 3.0, 2), ("mae", 2.5, 3.0, 0), ("rmse", 1.0, 3.0, 2), ("r2", 0.5, 3.0, 2)],
)
def test_harm_of_a_regression_by_each_metric(monitored: Build, metric: str, expected: float, value: float, level: int) -> None:
    case = monitored("regression", harm_margin=0.6)
    gates = case.project.gates.model_copy(update={"primary": metric})
    case.project = case.project.model_copy(update={"gates": gates})
    case.crown(2, reference=expected)
    generator = np.random.default_rng(1)
    ids = case.predict(inputs(generator, COUNT), [{"prediction": value}] * COUNT, version=2)
    case.label(ids, generator.normal(0, 0.1, COUNT).tolist())
    assert case.judge().harm_level == level


def test_an_undefined_metric_is_no_harm_and_says_so(monitored: Build) -> None:
    case = monitored(reference=0.56)
    case.project = case.project.model_copy(update={"gates": case.project.gates.model_copy(update={"primary": "auc"})})
    case.crown(2, reference=0.7)
    generator = np.random.default_rng(1)
    ids = case.predict(inputs(generator, COUNT), binary(generator.beta(2, 5, COUNT)), version=2)
    case.label(ids, [True] * COUNT)
    record = case.judge()
    assert (record.harm_level, "auc" in record.metrics) == (0, False)
    assert "undefined in the window" in signal(record.signals, "harm").reason
    assert "PrimaryMetric" not in case.published(), "there is no value to publish"
    assert case.published()["PrimaryMetricReference"] == 0.7


def test_predictions_without_numbers_hide_no_harm(monitored: Build) -> None:
    case = monitored(reference=0.56)
    filled(case, wrong=0.4)
    generator = np.random.default_rng(8)
    broken = case.predict(inputs(generator, 30), [{"prediction": True}] * 30, tag="without-probabilities")
    case.label(broken, [True] * 30)
    assert case.judge().harm_level == 2
