"""Promotion and rollback by a person: legal moves, their audit, and clear refusals."""

from __future__ import annotations

import pytest

from driftless.errors import IllegalMove, NotFound
from driftless.registry.rollout import promote, publish_endpoint, rollback
from tests.unit.registry.rollout.scene import Scene, model_version


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.first_champion()
    return made


@pytest.mark.parametrize("decision", ["refuse", "await_approval", "promote"])
def test_a_person_may_promote_any_registered_version(scene: Scene, decision: str) -> None:
    scene.registry.create_version(model_version(3, decision=decision))
    moved = promote(scene.registry, scene.store, "flights", 3, "ann")
    assert (moved.champion, moved.previous_champion, moved.challenger) == (3, 1, None)
    assert scene.copy() == moved
    last = scene.registry.audit("flights")[-1]
    assert (last.actor, last.action) == ("ann", "promote")
    assert last.detail["reasons"] == [f"promoted by hand; its gates decided {decision}"]


def test_promoting_takes_a_running_canary_away(scene: Scene) -> None:
    first = scene.step(2)
    scene.registry.create_version(model_version(3))
    assert promote(scene.registry, scene.store, "flights", 3, "ann").challenger is None
    assert scene.step(2, first).status == "rolled_back"


def test_promoting_the_challenger_finishes_its_rollout(scene: Scene) -> None:
    first = scene.step(2)
    promote(scene.registry, scene.store, "flights", 2, "ann")
    assert scene.step(2, first).status == "promoted"
    assert scene.registry.endpoint("flights").previous_champion == 1


def test_illegal_promotions_say_why(scene: Scene) -> None:
    with pytest.raises(IllegalMove, match="version 1 of flights is champion already"):
        promote(scene.registry, scene.store, "flights", 1, "ann")
    with pytest.raises(NotFound, match="no registered version 9"):
        promote(scene.registry, scene.store, "flights", 9, "ann")
    assert scene.actions() == ["promote"]


def test_rolling_back_stops_a_canary_first(scene: Scene) -> None:
    scene.step(2)
    moved = rollback(scene.registry, scene.store, "flights", "ann")
    assert (moved.champion, moved.challenger, moved.challenger_weight) == (1, None, 0.0)
    assert scene.registry.audit("flights")[-1].detail["reasons"] == ["challenger 2 rolled back by hand"]


def test_rolling_back_returns_to_the_champion_before_and_not_forward_again(scene: Scene) -> None:
    promote(scene.registry, scene.store, "flights", 2, "ann")
    moved = rollback(scene.registry, scene.store, "flights", "bob")
    assert (moved.champion, moved.previous_champion) == (1, None)
    assert scene.copy() == moved
    with pytest.raises(IllegalMove, match="flights has no challenger and no previous champion"):
        rollback(scene.registry, scene.store, "flights", "bob")
    assert scene.registry.endpoint("flights").champion == 1


def test_nothing_is_published_for_a_project_that_never_served() -> None:
    scene = Scene()
    assert publish_endpoint(scene.registry, scene.store, "flights").revision == 0
    assert scene.store.list("serving/") == []
