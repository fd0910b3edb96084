"""The train stage: what it chooses, what it writes, and that a rerun writes the same."""

from __future__ import annotations

import io
import json

import joblib
import numpy as np
import pytest

from driftless.errors import BadProject, BadRequest, CandidateRefused, ExportRefused, NotEnoughData
from driftless.evaluation.parity import parity_gate
from driftless.modelling.column_profile import Baseline, CategoryProfile, HiddenProfile, NumberProfile
from driftless.modelling.prediction_columns import output_columns
from driftless.records import Candidate, FailedCandidate, TrainingRequest
from driftless.testing.memory import MemoryStore
from driftless.training.estimators import ALLOWED
from driftless.training.fit import Train
from driftless.training.fit.step import choose
from driftless.training.pipeline import features_frame
from tests.unit.training.fit import scene

SMALL = {
    "sklearn.neural_network.MLPClassifier": {"hidden_layer_sizes": [4], "max_iter": 400, "tol": 0.05},
    "sklearn.neural_network.MLPRegressor": {"hidden_layer_sizes": [4], "max_iter": 400, "tol": 50.0},
}


def test_the_best_candidate_follows_the_metrics_own_direction_and_ties_go_to_the_lowest_index() -> None:
    losses = [scene.tuned(index=2, score=0.4), scene.tuned(index=1, score=0.3), scene.tuned(index=0, score=0.3)]
    assert choose(losses).candidate.index == 0
    gains = [scene.tuned(index=index, score=score, metric="auc") for index, score in ((0, 0.6), (1, 0.8), (2, 0.8))]
    assert choose(gains).candidate.index == 1
    with pytest.raises(BadRequest):
        choose([])


def test_candidates_without_a_score_are_not_chosen_and_when_none_has_one_that_is_the_error() -> None:
    failed = [FailedCandidate(candidate=Candidate(index=index, parameters={}), failure=f"no {index}") for index in (0, 2)]
    assert choose([failed[0], scene.tuned(index=1, score=0.9), failed[1]]).candidate.index == 1
    with pytest.raises(CandidateRefused, match="none of 2 candidates has a score; 2 reasons, one is no 0"):
        choose(failed)


def test_the_model_records_the_candidates_without_a_score() -> None:
    store = MemoryStore()
    dataset = scene.freeze(store, scene.rows(), scene.rows(count=100, start=40, days=10))
    failed = FailedCandidate(candidate=Candidate(index=1, parameters={"max_iter": 9}), failure="its function ended")
    request = TrainingRequest(run=scene.run(), dataset=dataset, tuned=[failed, scene.tuned({"max_iter": 5})])
    assert Train(artifacts=store, projects={"demo": scene.project()})(request).failed_candidates == [failed]


@pytest.mark.parametrize("estimator", sorted(ALLOWED))
def test_every_allowed_estimator_exports_to_the_same_predictions(estimator: str) -> None:
    task = "binary" if ALLOWED[estimator].classifies else "regression"
    _passes_parity(task, estimator)


@pytest.mark.parametrize(
    "estimator",
    [
        "sklearn.ensemble.HistGradientBoostingClassifier",
        "sklearn.ensemble.RandomForestClassifier",
        "sklearn.linear_model.LogisticRegression",
    ],
)
def test_multiclass_exports_to_the_same_predictions(estimator: str) -> None:
    _passes_parity("multiclass", estimator)


def _passes_parity(task: str, estimator: str) -> None:
    definition = scene.project(task, model={"estimator": estimator, "parameters": SMALL.get(estimator, {})})
    store = MemoryStore()
    dataset = scene.freeze(store, scene.rows(task, 800), scene.rows(task, 300, start=40, days=10, seed=1))
    model = scene.train(store, definition, dataset)
    onnx = scene.load(store, model)
    rows, expected = (scene.columns(store, ref.key) for ref in (model.parity_rows, model.parity_expected))
    predictions = onnx.predict(rows)
    gate = parity_gate(onnx.classes, rows, expected, output_columns(predictions.labels, predictions.scores, onnx.classes))
    assert gate.passed, gate.reason


def test_the_parity_rows_challenge_every_feature() -> None:
    store = MemoryStore()
    model = scene.train(store, scene.project(), scene.freeze(store, scene.rows(), scene.rows(count=100, start=40, seed=1)))
    words = set(scene.columns(store, model.parity_rows.key)["parity_challenge"])
    assert {"hold-out row 0", "hold-out row 99", "null speed", "unknown colour", "empty colour", "speed = 1.7e+12"} <= words
    assert {"count = 0", "count = 100"} <= words
    assert not {"null count", "count = 1.7e+12"} & words, "what the project forbids is no challenge"


def test_a_rerun_writes_the_same_bytes() -> None:
    written = []
    for _ in range(2):
        store = MemoryStore()
        model = scene.train(store, scene.project(), scene.freeze(store, scene.rows(), scene.rows(count=100, start=40)))
        written.append([model.onnx, model.baseline, model.interface, model.parity_rows, model.parity_expected, model.joblib])
    assert written[0] == written[1]


def test_the_interface_names_inputs_outputs_and_classes_in_probability_order() -> None:
    store = MemoryStore()
    definition = scene.project("multiclass")
    dataset = scene.freeze(store, scene.rows("multiclass"), scene.rows("multiclass", 100, start=40))
    model = scene.train(store, definition, dataset)
    described = json.loads(store.get(model.interface.key))
    assert (described["project"], described["task"], described["event_time"]) == ("demo", "multiclass", "at")
    assert described["classes"] == ["high", "low", "middle"]
    assert [item["dtype"] for item in described["inputs"]] == ["float", "float", "float", "string"]
    assert [item["feature"] for item in described["inputs"]] == ["speed", "count", "wet", "colour"]
    count = {"name": "count", "type": "integer", "nullable": False, "range": [0, 100], "allowed": None, "pii": False}
    assert described["features"][1] == count


def test_the_baseline_profiles_inputs_outputs_and_hides_personal_data() -> None:
    columns = {**scene.project().model_dump()["features"]["columns"]}
    columns["colour"] = {**columns["colour"], "pii": True, "allowed": ["red", "green", "blue"]}
    definition = scene.project(features={"base": "events", "columns": columns})
    store = MemoryStore()
    rows = scene.rows()
    model = scene.train(store, definition, scene.freeze(store, rows, scene.rows(count=100, start=40)))
    baseline = Baseline.model_validate_json(store.get(model.baseline.key))
    speed, target = baseline.features["speed"], baseline.target
    assert isinstance(speed, NumberProfile) and speed.nulls == int(np.isnan(rows["speed"]).sum())
    assert sum(speed.counts) == 1200 - speed.nulls
    assert isinstance(baseline.features["colour"], HiddenProfile)
    assert isinstance(target, CategoryProfile) and target.counts["true"] == int(rows["late"].sum())
    assert set(baseline.outputs) == {"prediction", "p_false", "p_true"}
    assert b'"red"' not in store.get(model.baseline.key)


def test_the_pickle_for_people_predicts_what_the_graph_predicts() -> None:
    store = MemoryStore()
    model = scene.train(store, scene.project(), scene.freeze(store, scene.rows(), scene.rows(count=100, start=40)))
    pipeline = joblib.load(io.BytesIO(store.get(model.joblib.key)))
    fresh = scene.features(scene.rows(count=200, seed=5))
    expected = pipeline.predict_proba(features_frame(scene.project(), fresh))
    assert np.allclose(scene.load(store, model).predict(fresh).scores, expected, atol=1e-5)


def test_training_on_one_class_is_not_enough_data() -> None:
    store = MemoryStore()
    rows = {**scene.rows(), "late": np.ones(1200, dtype=bool)}
    with pytest.raises(NotEnoughData, match="only one value"):
        scene.train(store, scene.project(), scene.freeze(store, rows, scene.rows(count=100, start=40)))


def test_a_class_the_project_does_not_list_is_named() -> None:
    store = MemoryStore()
    rows = scene.rows("multiclass")
    rows["late"][3] = "odd"
    with pytest.raises(BadProject, match=r"target\.classes.*odd"):
        scene.train(store, scene.project("multiclass"), scene.freeze(store, rows, scene.rows("multiclass", 100, start=40)))


def test_a_converter_that_refuses_becomes_export_refused_in_few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError("cannot convert " + "x" * 10_000)

    monkeypatch.setattr("skl2onnx.convert_sklearn", refuse)
    store = MemoryStore()
    dataset = scene.freeze(store, scene.rows(), scene.rows(count=100, start=40))
    with pytest.raises(ExportRefused, match=r"HistGradientBoostingClassifier.*cannot convert") as caught:
        scene.train(store, scene.project(), dataset)
    assert len(str(caught.value)) < 1000


def test_candidate_parameters_are_fitted_and_recorded() -> None:
    store = MemoryStore()
    definition = scene.project(model={"estimator": scene.DEFAULT["binary"], "parameters": {"max_iter": 5, "max_depth": 2}})
    dataset = scene.freeze(store, scene.rows(), scene.rows(count=100, start=40))
    request = TrainingRequest(run=scene.run(), dataset=dataset, tuned=[scene.tuned({"max_iter": 7})])
    model = Train(artifacts=store, projects={"demo": definition})(request)
    assert model.parameters == {"max_iter": 7, "max_depth": 2}
    assert joblib.load(io.BytesIO(store.get(model.joblib.key))).steps[-1][1].n_iter_ == 7
    assert model.dependencies["scikit-learn"]


def test_a_feature_nobody_has_measured_yet_is_trained_exported_and_ignored() -> None:
    store = MemoryStore()
    rows = {**scene.rows(), "speed": np.full(1200, np.nan)}
    model = scene.train(store, scene.project(), scene.freeze(store, rows, scene.rows(count=100, start=40)))
    fresh = scene.features(scene.rows(count=50, seed=5))
    onnx = scene.load(store, model)
    ignored = onnx.predict({**fresh, "speed": np.zeros(50)}).scores
    assert np.array_equal(onnx.predict(fresh).scores, ignored)
    assert np.allclose(
        scene.columns(store, model.parity_expected.key)["p_true"][:100],
        onnx.predict(scene.features(scene.rows(count=100, start=40))).scores[:, 1],
        atol=1e-5,
    )
