"""The gates from end to end: trained, scored and judged, on worlds where the right verdict is known."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from driftless.evaluation.scoring import Score
from driftless.evaluation.step import Evaluate, expected_metrics
from driftless.modelling.manifest import Manifest
from driftless.modelling.onnx import OnnxModel
from driftless.modelling.prediction_columns import output_columns
from driftless.records import (
    DatasetRecord,
    Endpoint,
    EvaluationRecord,
    EvaluationRequest,
    ModelRecord,
    ScoresRecord,
    ScoringRequest,
)
from driftless.testing.memory import MemoryStore
from driftless.testing.memory_registry import MemoryRegistry
from tests.unit.modelling.models import manifest
from tests.unit.training.fit import scene


class World:
    """A challenger trained on ``train``, judged on ``holdout``, against a champion trained on ``champion`` if given."""

    def __init__(
        self, train: scene.Columns, holdout: scene.Columns, champion: scene.Columns | None = None, task: str = "binary"
    ) -> None:
        self.store, self.registry, self.task = MemoryStore(), MemoryRegistry(), task
        self.dataset: DatasetRecord = scene.freeze(self.store, train, holdout)
        self.model: ModelRecord = scene.train(self.store, scene.project(task), self.dataset)
        self.champion_end = self.dataset.train_end
        self.champion: OnnxModel | None = None
        if champion is not None:
            dataset = scene.freeze(self.store, champion, holdout, "r0")
            self.champion = scene.load(self.store, scene.train(self.store, scene.project(task), dataset, "r0"))
            endpoint = Endpoint(project="demo", champion=1, manifests={"1": "digest"}, updated_at=scene.START)
            self.store.put("serving/demo/endpoint.json", endpoint.model_dump_json().encode())

    def load(self, *_: object) -> tuple[OnnxModel, Manifest]:
        assert self.champion is not None
        return self.champion, manifest("demo", 1, {}, train_end=self.champion_end)

    def scores(self) -> ScoresRecord:
        request = ScoringRequest(run=scene.run(), dataset=self.dataset, model=self.model)
        return Score(artifacts=self.store, load_version=self.load)(request)

    def judge(self, scores: ScoresRecord | None = None, **sections: Any) -> EvaluationRecord:
        stage = Evaluate(artifacts=self.store, registry=self.registry, projects={"demo": scene.project(self.task, **sections)})
        request = EvaluationRequest(run=scene.run(), dataset=self.dataset, model=self.model, scores=scores or self.scores())
        return stage(request)

    def report(self, record: EvaluationRecord) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.store.get(record.report.key))
        return found


def _upside_down(columns: scene.Columns) -> scene.Columns:
    """The same events in a world where everything works the other way round."""
    return {**columns, "late": ~columns["late"]}


def _holdout(**kwargs: Any) -> scene.Columns:
    return scene.rows(count=800, start=40, days=10, seed=9, **kwargs)


@pytest.fixture(scope="module")
def first() -> World:
    return World(scene.rows(), _holdout())


@pytest.fixture(scope="module")
def stale() -> World:
    return World(scene.rows(), _holdout(), champion=_upside_down(scene.rows()))


@pytest.fixture(scope="module")
def twin() -> World:
    return World(scene.rows(), _holdout(), champion=scene.rows(seed=3))


def _gate(record: EvaluationRecord, name: str) -> Any:
    return next(gate for gate in record.gates if gate.gate == name)


def test_the_first_model_is_promoted_without_a_comparison(first: World) -> None:
    record = first.judge()
    assert record.decision == "promote" and record.champion_version is None and record.champion_metrics is None
    assert [gate.gate for gate in record.gates] == ["parity", "naive"]
    assert "there is no champion yet" in record.reasons
    assert first.registry.run("demo", "r1").metrics == record.metrics
    assert first.registry.run("demo", "r1").decision == "promote"


def test_manual_approval_waits_for_a_person(first: World) -> None:
    assert first.judge(serving={"approval": "manual"}).decision == "await_approval"


def test_a_surely_better_challenger_is_promoted_with_its_figures(stale: World) -> None:
    record = stale.judge()
    gate = _gate(record, "champion")
    assert record.decision == "promote" and gate.passed and gate.observed > 0
    assert "95% interval" in gate.reason and "over 10 days" in gate.reason and record.champion_metrics is not None
    assert record.champion_metrics["log_loss"] - record.metrics["log_loss"] == pytest.approx(gate.observed)


def test_a_margin_that_is_not_reached_refuses(stale: World) -> None:
    gained = _gate(stale.judge(), "champion").observed
    record = stale.judge(gates={"primary": "log_loss", "resamples": 200, "margin": gained})
    assert record.decision == "refuse" and not _gate(record, "champion").passed


def test_higher_is_better_metrics_are_compared_in_their_own_direction(stale: World) -> None:
    record = stale.judge(gates={"primary": "auc", "resamples": 200})
    assert record.decision == "promote" and _gate(record, "champion").observed > 0.3


def test_a_challenger_equal_to_the_champion_is_refused_with_the_reason(twin: World) -> None:
    record = twin.judge()
    assert record.decision == "refuse" and len(record.reasons) == 1
    assert record.reasons[0].startswith("champion: log_loss") and "not surely better" in record.reasons[0]


def test_a_model_of_noise_does_not_beat_the_naive_predictor() -> None:
    noise = scene.rows(seed=1)
    noise["late"] = np.random.default_rng(0).random(1200) < 0.5
    holdout = _holdout()
    holdout["late"] = np.random.default_rng(1).random(800) < 0.5
    record = World(noise, holdout).judge()
    assert record.decision == "refuse" and not _gate(record, "naive").passed


def test_absolute_bounds_are_inclusive_and_every_failure_is_a_reason(first: World) -> None:
    auc = first.judge().metrics["auc"]
    bounds = [{"metric": "auc", "minimum": auc}, {"metric": "brier", "maximum": 0.001}, {"metric": "accuracy", "minimum": 0.99}]
    record = first.judge(gates={"primary": "log_loss", "resamples": 200, "absolute": bounds})
    assert _gate(record, "absolute:auc").passed
    assert record.decision == "refuse" and [reason.split(":")[1] for reason in record.reasons] == ["brier", "accuracy"]


def test_too_few_days_decide_nothing() -> None:
    world = World(scene.rows(), scene.rows(count=800, start=40, days=4, seed=9), champion=_upside_down(scene.rows()))
    record = world.judge()
    assert record.decision == "refuse" and "4 blocks are fewer" in _gate(record, "champion").reason
    by_row = world.judge(gates={"primary": "log_loss", "resamples": 200, "block": "row"})
    assert by_row.decision == "promote" and "over 800 rows" in _gate(by_row, "champion").reason


def test_a_slice_that_gets_surely_worse_refuses(twin: World) -> None:
    scores = twin.scores()
    wet = twin_wet(twin)
    written = scene.columns(twin.store, scores.challenger.key)
    truth = _holdout()["late"].astype(np.float64)
    # Nearly all-knowing on dry days, confidently wrong in the rain, which is rarer.
    p = np.where(wet, 0.9 - 0.8 * truth, 0.01 + 0.98 * truth)
    written |= output_columns((p > 0.5).tolist(), np.column_stack([1 - p, p]), ("false", "true"))
    changed = scores.model_copy(update={"challenger": _stored(twin.store, written)})
    gates = {"primary": "brier", "resamples": 200, "slices": ["wet", "colour"], "slice_minimum_rows": 50}
    record = twin.judge(changed, gates=gates)
    assert not _gate(record, "slice:wet=true").passed and _gate(record, "slice:wet=false").passed
    assert record.decision == "refuse" and any(reason.startswith("slice:wet=true") for reason in record.reasons)
    many = twin.judge(changed, gates={**gates, "slice_minimum_rows": 700})
    assert not any(gate.gate.startswith("slice:") for gate in many.gates)


def test_a_slice_of_two_days_decides_nothing_and_says_so() -> None:
    """Two days give an interval with hardly any width, which is no certainty at all."""
    holdout = scene.rows(count=160, start=40, days=2, seed=9)
    world = World(scene.rows(), holdout, champion=scene.rows(seed=3))
    scores, truth = world.scores(), holdout["late"].astype(np.float64)
    p = np.where(twin_wet(world), 0.9 - 0.8 * truth, 0.01 + 0.98 * truth)
    table = scene.columns(world.store, scores.challenger.key)
    table |= output_columns((p > 0.5).tolist(), np.column_stack([1 - p, p]), ("false", "true"))
    changed = scores.model_copy(update={"challenger": _stored(world.store, table)})
    gates = {"primary": "brier", "resamples": 200, "slices": ["wet"], "slice_minimum_rows": 20}
    gate = _gate(world.judge(changed, gates=gates), "slice:wet=true")
    assert gate.observed < -0.3
    assert gate.passed
    assert "2 blocks are fewer" in gate.reason


def twin_wet(world: World) -> Any:
    return scene.columns(world.store, world.dataset.holdout.key)["wet"]


def _stored(store: MemoryStore, columns: scene.Columns) -> Any:
    import tempfile
    from pathlib import Path

    from driftless.core.parquet import write_columns

    with tempfile.TemporaryDirectory() as scratch:
        return store.upload(write_columns(Path(scratch) / "scores.parquet", columns), "runs/demo/r1/scores/changed.parquet")


def test_a_champion_trained_on_part_of_the_holdout_is_judged_on_the_rest(stale: World) -> None:
    end = stale.dataset.train_end
    scores = stale.scores().model_copy(update={"champion_train_end": end + timedelta(days=2)})
    gate = _gate(stale.judge(scores), "champion")
    assert gate.passed and "over 8 days" in gate.reason and "is compared on the others" in gate.reason
    assert "trained on 160 of these 800 hold-out rows" in gate.reason


def test_a_champion_trained_on_nearly_all_of_it_is_favoured_and_that_is_said(stale: World, twin: World) -> None:
    end = stale.dataset.train_end + timedelta(days=8)
    won = _gate(stale.judge(stale.scores().model_copy(update={"champion_train_end": end})), "champion")
    assert won.passed and "over 10 days" in won.reason and "favours it" in won.reason
    lost = _gate(twin.judge(twin.scores().model_copy(update={"champion_train_end": end})), "champion")
    assert not lost.passed and "favours it" in lost.reason


def test_a_champion_that_cannot_be_compared_leaves_it_to_a_person(stale: World) -> None:
    scores = stale.scores().model_copy(update={"champion": None})
    record = stale.judge(scores)
    assert record.decision == "await_approval" and "cannot be compared" in record.reasons[-1]


def test_a_graph_that_predicts_differently_is_refused(first: World) -> None:
    scores = first.scores()
    observed = scene.columns(first.store, scores.parity_observed.key)
    observed["p_true"] = observed["p_true"] + np.where(observed["row"] == 5, 0.2, 0.0)
    record = first.judge(scores.model_copy(update={"parity_observed": _stored(first.store, observed)}))
    assert record.decision == "refuse" and record.reasons[0].startswith("parity: 1 of") and "hold-out row 5" in record.reasons[0]


def test_the_report_holds_the_figures_behind_the_gate_decision(stale: World) -> None:
    gates = {"primary": "log_loss", "resamples": 200, "slices": ["colour"], "protected": ["colour", "speed"]}
    record = stale.judge(gates=gates)
    report = stale.report(record)
    assert report["decision"] == record.decision and report["run"]["run_id"] == "r1"
    assert report["metrics"]["challenger"] == record.metrics and report["metrics"]["champion"] == record.champion_metrics
    low, high = report["intervals"]["log_loss"]
    assert low < record.metrics["log_loss"] < high
    assert [day["rows"] for day in report["days"]] == [80] * 10 and report["days"][0]["day"] == "2024-02-10"
    assert sum(item["rows"] for item in report["calibration"]["challenger"]) == 800
    assert sorted(item["slice"] for item in report["slices"]) == [f"colour = {name}" for name in ("blue", "green", "null", "red")]
    colour = report["protected"]["colour"]
    rates = [group["selection_rate"] for group in colour["groups"].values()]
    assert colour["gaps"]["selection_rate"] == pytest.approx(max(rates) - min(rates))
    assert set(colour["gaps"]) == {"selection_rate", "true_positive_rate", "false_positive_rate"}
    assert len(report["protected"]["speed"]["groups"]) == 5, "quartiles and null"


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_are_judged_too(task: str) -> None:
    holdout = scene.rows(task, 800, start=40, days=10, seed=9)
    shuffled = scene.rows(task)
    shuffled["late"] = np.random.default_rng(0).permutation(shuffled["late"])
    world = World(scene.rows(task), holdout, champion=shuffled, task=task)
    record = world.judge()
    assert record.decision == "promote" and [gate.gate for gate in record.gates] == ["parity", "naive", "champion"]
    assert world.report(record)["calibration"] is None


def test_a_run_that_is_judged_again_leaves_its_first_report_as_it_was(twin: World) -> None:
    refused = twin.judge()
    digest = hashlib.sha256(twin.store.get(refused.report.key)).hexdigest()
    again = twin.judge()
    assert again.report == refused.report, "the same verdict is the same report"
    without_champion = twin.scores().model_copy(update={"champion": None, "champion_version": None})
    promoted = twin.judge(without_champion)
    assert (refused.decision, promoted.decision) == ("refuse", "promote")
    assert hashlib.sha256(twin.store.get(refused.report.key)).hexdigest() == digest == refused.report.sha256
    assert twin.report(promoted)["decision"] == "promote"


def test_what_is_expected_of_a_model_is_the_median_of_its_unseen_periods(first: World) -> None:
    model = first.model.model_copy(update={"tuning_metric": "log_loss", "tuning_folds": [0.50, 0.48, 0.51]})
    assert expected_metrics("log_loss", model, {"log_loss": 0.66}) == {"log_loss": pytest.approx(0.505)}
    assert expected_metrics("auc", model, {"auc": 0.7}) == {"auc": 0.7}
    assert expected_metrics("auc", model, {}) == {}
