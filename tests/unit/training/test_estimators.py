"""The allow-list and its messages."""

from __future__ import annotations

from typing import Any

import pytest

from driftless.errors import BadProject
from driftless.training.estimators import ALLOWED, build, check
from tests.unit.training.fit import scene

BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"


@pytest.mark.parametrize(
    ("model", "key", "reason"),
    [
        ({"estimator": "sklearn.svm.SVC"}, "model.estimator", "not an allowed estimator"),
        ({"estimator": "os.system"}, "model.estimator", "not an allowed estimator"),
        ({"estimator": "sklearn.ensemble.HistGradientBoostingClasifier"}, "model.estimator", f'write "{BOOSTING}"'),
        ({"estimator": "sklearn.linear_model.Ridge"}, "model.estimator", "does not support binary"),
        ({"estimator": BOOSTING, "parameters": {"max_iters": 5}}, "model.parameters.max_iters", "write max_iter"),
        ({"estimator": BOOSTING, "parameters": {"max_iter": -5}}, "model.parameters.max_iter", "'max_iter'"),
        ({"estimator": BOOSTING, "parameters": {"random_state": 1}}, "model.parameters.random_state", "model.seed"),
        ({"estimator": BOOSTING, "search": {"learning_rate": [0.1, "fast"]}}, "model.search.learning_rate", "'learning_rate'"),
        ({"estimator": BOOSTING, "search": {"categorical_features": [[0]]}}, "model.search.categorical_features", "other labels"),
    ],
)
def test_a_mistake_names_its_key_and_its_fix(model: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(BadProject) as caught:
        check(scene.project(model=model))
    assert caught.value.key == key and reason in str(caught.value) and caught.value.file == "projects/demo/project.toml"


@pytest.mark.parametrize("estimator", sorted(ALLOWED))
def test_every_allowed_estimator_builds_with_the_seed(estimator: str) -> None:
    task = "binary" if ALLOWED[estimator].classifies else "regression"
    made = build(scene.project(task, model={"estimator": estimator, "seed": 11}), {})
    assert made.get_params().get("random_state", 11) == 11


def test_a_candidate_overlays_the_fixed_parameters() -> None:
    model = {"estimator": BOOSTING, "parameters": {"max_iter": 5, "max_depth": 2}}
    made = build(scene.project(model=model), {"max_iter": 9}).get_params()
    assert (made["max_iter"], made["max_depth"]) == (9, 2)
