"""Cross-validation that never looks ahead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from driftless.errors import BadProject, NotEnoughData
from driftless.records import Candidate, FailedCandidate, TunedRecord, TuningRequest
from driftless.testing.memory import MemoryStore
from driftless.training.tuning import Tune, folds
from tests.unit.training.fit import scene

DAY = np.timedelta64(1, "D")


def _tune(rows: scene.Columns, parameters: dict[str, object], **sections: Any) -> TunedRecord:
    result = _attempt(rows, parameters, **sections)
    assert isinstance(result, TunedRecord)
    return result


def _attempt(rows: scene.Columns, parameters: dict[str, object], **sections: Any) -> TunedRecord | FailedCandidate:
    store = MemoryStore()
    dataset = scene.freeze(store, rows, scene.rows(count=100, start=40, days=10))
    request = TuningRequest(run=scene.run(), dataset=dataset, candidate=Candidate(index=3, parameters=parameters))
    return Tune(artifacts=store, projects={"demo": scene.project(**sections)})(request)


def test_every_fold_trains_on_known_labels_before_its_window_only() -> None:
    times = scene.rows()["at"]
    target = {"name": "late", "expression": "late", "label_delay_hours": 48}
    model = {"estimator": scene.DEFAULT["binary"], "folds": 3}
    found = list(folds(scene.project(target=target, model=model, split={"holdout_days": 7}), times))
    assert len(found) == 3
    for train, judge in found:
        assert times[train].max() < times[judge].min() - 2 * DAY
        assert times[judge].max() - times[judge].min() <= 7 * DAY
    assert found[-1][1].max() == len(times) - 1
    assert len(found[0][0]) < len(found[1][0]) < len(found[2][0])
    windows = np.concatenate([judge for _, judge in found])
    assert len(windows) == len(np.unique(windows))


def test_unsorted_rows_are_folded_by_their_time() -> None:
    times = scene.rows()["at"]
    mixed = np.random.default_rng(0).permutation(len(times))
    for train, judge in folds(scene.project(), times[mixed]):
        assert times[mixed][train].max() < times[mixed][judge].min()


def test_short_histories_shrink_the_windows() -> None:
    times = scene.rows(days=6)["at"]
    for train, judge in folds(scene.project(split={"holdout_days": 30}), times):
        assert len(train) >= len(times) // 4 and len(judge) >= len(times) // 4


def test_random_folds_only_when_configured_cover_every_row_once() -> None:
    times = scene.rows()["at"]
    found = list(folds(scene.project(split={"by": "random"}), times))
    assert sorted(np.concatenate([judge for _, judge in found]).tolist()) == list(range(len(times)))
    assert all(not set(train) & set(judge) for train, judge in found)


def test_a_better_candidate_scores_better_and_the_same_twice() -> None:
    rows = scene.rows()
    poor, good = _tune(rows, {"max_iter": 1}), _tune(rows, {"max_iter": 60})
    assert good.score < poor.score and good.metric == "log_loss"
    assert good.candidate.index == 3 and good.score == pytest.approx(np.mean(good.fold_scores)) and len(good.fold_scores) == 2
    assert _tune(rows, {"max_iter": 60}).fold_scores == good.fold_scores


def test_a_feature_that_leaks_the_future_does_not_help_across_days() -> None:
    # The number of the day predicts each day's outcome in random folds, and nothing forward in time.
    rows = scene.rows()
    day = rows["at"].astype("datetime64[D]").astype(np.int64)
    luck = np.random.default_rng(0).random(day.max() + 1) < 0.5
    rows = {**rows, "late": luck[day], "speed": day.astype(np.float64)}
    model = {"estimator": scene.DEFAULT["binary"], "folds": 3}
    assert _tune(rows, {}, model=model, split={"by": "random"}).score < 0.1
    assert _tune(rows, {}, model=model).score > 0.6


def test_folds_of_one_class_are_left_out_and_none_left_is_not_enough() -> None:
    rows = scene.rows()
    early = {**rows, "late": np.where(np.arange(1200) < 700, False, rows["late"])}
    assert len(_tune(early, {}).fold_scores) == 1
    with pytest.raises(NotEnoughData, match="none of 2 folds"):
        _tune({**rows, "late": np.zeros(1200, dtype=bool)}, {})


def test_a_forbidden_parameter_is_named() -> None:
    with pytest.raises(BadProject, match=r"model\.search\.categorical_features"):
        _tune(scene.rows(), {"categorical_features": [0]})


LOGISTIC = {"estimator": "sklearn.linear_model.LogisticRegression", "folds": 2}


def test_a_candidate_that_scikit_learn_refuses_is_a_result_that_names_its_parameters() -> None:
    result = _attempt(scene.rows(), {"solver": "lbfgs", "l1_ratio": 1.0, "C": 0.5}, model=LOGISTIC)
    assert isinstance(result, FailedCandidate)
    assert result.candidate.index == 3
    assert result.failure.startswith("sklearn.linear_model.LogisticRegression with solver = 'lbfgs', l1_ratio = 1.0, C = 0.5: ")


def test_a_candidate_that_predicts_nothing_finite_is_refused_not_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftless.training.tuning.measure", lambda metric, scored: float("nan"))
    result = _attempt(scene.rows(), {"max_iter": 1})
    assert isinstance(result, FailedCandidate)
    assert result.failure == "log_loss of the predictions with {'max_iter': 1} is finite in no fold"
