"""The score stage: row order, the champion through the loader, and what happens when it cannot be scored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from driftless.errors import IntegrityError, SignatureInvalid
from driftless.evaluation import scoring
from driftless.evaluation.scoring import Score
from driftless.modelling.interface import parse_interface
from driftless.modelling.manifest import Manifest
from driftless.modelling.onnx import OnnxModel
from driftless.records import DatasetRecord, Endpoint, ModelRecord, ScoringRequest
from driftless.testing.memory import MemoryStore
from tests.unit.modelling.models import manifest
from tests.unit.training.fit import scene

TRAIN_END = datetime(2024, 2, 1, tzinfo=UTC)


class World:
    """One trained run, and a loader that records its calls."""

    def __init__(self, task: str = "binary") -> None:
        self.store = MemoryStore()
        self.holdout = scene.rows(task, 301, start=40, days=10, seed=1)
        self.dataset: DatasetRecord = scene.freeze(self.store, scene.rows(task), self.holdout)
        self.model: ModelRecord = scene.train(self.store, scene.project(task), self.dataset)
        self.loaded: list[tuple[str, int, str]] = []
        self.champion = scene.load(self.store, self.model)

    def load(self, project: str, version: int, digest: str) -> tuple[OnnxModel, Manifest]:
        self.loaded.append((project, version, digest))
        return self.champion, manifest(project, version, {}, train_end=TRAIN_END)

    def serve(self, champion: int | None) -> None:
        manifests = {str(champion): "digest"} if champion else {}
        endpoint = Endpoint(project="demo", champion=champion, manifests=manifests, updated_at=TRAIN_END)
        self.store.put("serving/demo/endpoint.json", endpoint.model_dump_json().encode())

    def score(self) -> Any:
        request = ScoringRequest(run=scene.run(), dataset=self.dataset, model=self.model)
        return Score(artifacts=self.store, load_version=self.load)(request)


@pytest.fixture(scope="module")
def trained() -> World:
    return World()


@pytest.fixture
def world(trained: World) -> World:
    trained.loaded.clear()
    trained.champion = scene.load(trained.store, trained.model)
    trained.serve(None)
    return trained


@pytest.mark.parametrize("chunk", [50_000, 100, 7])
def test_scores_keep_the_holdouts_order_whatever_the_chunk(world: World, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(scoring, "CHUNK", chunk)
    record = world.score()
    written = scene.columns(world.store, record.challenger.key)
    direct = world.champion.predict(scene.features(world.holdout))
    assert list(written) == ["row", "prediction", "p_false", "p_true"] and record.rows == 301
    assert written["row"].tolist() == list(range(301))
    assert np.array_equal(written["p_true"], direct.scores[:, 1])
    assert written["prediction"].tolist() == ["true" if label else "false" for label in direct.labels]


def test_parity_rows_are_predicted_by_the_graph(world: World) -> None:
    observed = scene.columns(world.store, world.score().parity_observed.key)
    expected = scene.columns(world.store, world.model.parity_expected.key)
    assert np.allclose(observed["p_true"], expected["p_true"], atol=1e-5) and len(observed["row"]) == len(expected["row"])


def test_without_an_endpoint_or_a_champion_there_are_no_champion_scores() -> None:
    fresh = World()
    assert (fresh.score().champion, fresh.score().champion_version) == (None, None)
    fresh.serve(None)
    assert (fresh.score().champion, fresh.score().champion_version) == (None, None)
    assert fresh.loaded == []


def test_the_champion_is_loaded_with_verification(world: World) -> None:
    world.serve(4)
    record = world.score()
    assert world.loaded == [("demo", 4, "digest")]
    assert (record.champion_version, record.champion_train_end) == (4, TRAIN_END)
    assert record.champion is not None
    challenger, champion = (scene.columns(world.store, ref.key)["p_true"] for ref in (record.challenger, record.champion))
    assert np.array_equal(challenger, champion)


def _crown_with_speed_as(world: World, **change: Any) -> None:
    """Make the challenger's graph the champion, with another input in place of the speed."""
    interface = parse_interface("interface.json", world.store.get(world.model.interface.key))
    inputs = tuple(replace(item, **change) if item.feature == "speed" else item for item in interface.inputs)
    world.champion = OnnxModel(world.store.get(world.model.onnx.key), replace(interface, inputs=inputs))


def test_a_champion_of_features_the_holdout_lacks_has_a_version_but_no_scores(world: World) -> None:
    _crown_with_speed_as(world, feature="velocity")
    world.serve(4)
    record = world.score()
    assert (record.champion, record.champion_version) == (None, 4)


def test_a_champion_fitted_on_another_type_of_a_feature_cannot_be_compared_and_stops_nothing(world: World) -> None:
    _crown_with_speed_as(world, dtype="string")
    world.serve(4)
    record = world.score()
    assert (record.champion, record.champion_version) == (None, 4)


def test_an_unverified_champion_stops_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise SignatureInvalid("unsigned")

    world.serve(4)
    monkeypatch.setattr(world, "load", refuse)
    with pytest.raises(SignatureInvalid):
        world.score()


def test_a_changed_challenger_is_refused() -> None:
    fresh = World()
    fresh.store.put(fresh.model.onnx.key, b"other")
    with pytest.raises(IntegrityError):
        fresh.score()


def test_regression_scores_are_numbers() -> None:
    fresh = World("regression")
    written = scene.columns(fresh.store, fresh.score().challenger.key)
    assert list(written) == ["row", "prediction"] and written["prediction"].dtype == np.float64
