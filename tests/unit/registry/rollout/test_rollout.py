"""Rollouts from the first step to the last, and what happens when something gets in their way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from driftless.errors import IllegalMove, NotFound, StoreUnavailable
from driftless.records import DeploymentFacts, Endpoint, ModelVersion
from driftless.registry.rollout import promote
from tests.unit.registry.rollout.scene import Scene, deployment_request, model_version


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_first_champion_is_promoted_at_once(scene: Scene) -> None:
    record = scene.step(1)
    assert (record.status, record.weight, record.champion, record.bake_seconds) == ("promoted", 1.0, 1, 0)
    assert record.reasons == ["there is no champion yet"]
    assert scene.copy() == scene.registry.endpoint("flights")
    assert scene.copy().manifests == {"1": f"{1:064x}"}


def test_a_challenger_takes_over_step_by_step(scene: Scene) -> None:
    scene.first_champion()
    first = scene.step(2)
    assert (first.status, first.step, first.weight, first.bake_seconds) == ("baking", 0, 0.1, 60)
    assert (scene.copy().champion, scene.copy().challenger, scene.copy().challenger_weight) == (1, 2, 0.1)
    scene.served(2, 100)
    second = scene.step(2, first)
    assert (second.status, second.step, second.weight) == ("baking", 1, 0.5)
    scene.served(2, 500)
    last = scene.step(2, second)
    assert (last.status, last.weight, last.bake_seconds) == ("promoted", 1.0, 0)
    assert (last.champion, last.previous_champion) == (2, 1)
    assert (scene.copy().champion, scene.copy().challenger, scene.copy().previous_champion) == (2, None, 1)
    assert scene.actions() == ["promote", "canary", "canary", "promote"]
    assert {event.actor for event in scene.registry.audit("flights")} == {"run/run-1", "run/run-2"}


def test_without_steps_a_challenger_is_promoted_at_once() -> None:
    scene = Scene(canary_steps=())
    scene.first_champion()
    assert scene.step(2).status == "promoted"
    assert scene.copy().champion == 2


def test_a_step_without_traffic_bakes_on_for_its_quiet_bakes_and_passes_then(scene: Scene) -> None:
    """Three more bakes of a minute; calls that come twice or early change neither the endpoint nor the time that is waited."""
    scene.first_champion()
    first = scene.step(2)
    revision = scene.registry.endpoint("flights").revision
    record = first
    for _ in range(3):
        scene.clock.pass_seconds(60)
        for _ in range(2):
            record = scene.step(2, record)
            assert (record.status, record.step, record.weight, record.bake_seconds) == ("baking", 0, 0.1, 60)
            assert record.reasons == ["no prediction with 10% of traffic yet: bakes on, for 240 s at most"]
        assert scene.registry.endpoint("flights").revision == revision
    scene.clock.pass_seconds(60)
    second = scene.step(2, record)
    assert (second.status, second.step, second.weight) == ("baking", 1, 0.5)
    assert second.reasons[0] == "no prediction with 10% of traffic within 240 s, which is no evidence against version 2"
    scene.clock.pass_seconds(60)
    assert scene.step(2, second).weight == 0.5, "each step waits anew"
    scene.clock.pass_seconds(180)
    assert scene.step(2, second).status == "promoted"


def test_late_errors_still_count(scene: Scene) -> None:
    scene.first_champion()
    first = scene.step(2)
    scene.clock.pass_seconds(60)
    quiet = scene.step(2, first)
    scene.served(2, 0, errors=5)
    assert scene.step(2, quiet).status == "rolled_back"


def test_the_first_prediction_ends_the_waiting(scene: Scene) -> None:
    scene.first_champion()
    first = scene.step(2)
    scene.clock.pass_seconds(60)
    quiet = scene.step(2, first)
    scene.served(2, 1)
    assert scene.step(2, quiet).weight == 0.5


def test_predictions_count_from_the_minute_the_share_was_set(scene: Scene) -> None:
    """CloudWatch keeps counts by the minute: what it attributes to the start of that minute is the step's own."""
    scene.first_champion()
    scene.clock.pass_seconds(40)
    first = scene.step(2)
    minute = scene.clock.now.replace(second=0)
    scene.metrics.published.append((minute, {"PredictionErrors": 9.0}, {"Stage": "local", "Project": "flights", "Version": "2"}))
    scene.clock.pass_seconds(60)
    assert scene.step(2, first).status == "rolled_back"


def test_too_many_errors_roll_it_back(scene: Scene) -> None:
    scene.first_champion()
    first = scene.step(2)
    scene.served(2, 97, errors=3)
    record = scene.step(2, first)
    assert (record.status, record.weight, record.champion) == ("rolled_back", 0.0, 1)
    assert record.reasons == ["3 errors in 100 predictions with 10% of traffic: 3.00% is more than the 1.00% allowed"]
    assert (scene.copy().champion, scene.copy().challenger) == (1, None)


def test_errors_up_to_the_limit_are_allowed(scene: Scene) -> None:
    scene.first_champion()
    first = scene.step(2)
    scene.served(2, 99, errors=1)
    assert scene.step(2, first).status == "baking"


def test_errors_of_other_versions_stages_and_times_do_not_count(scene: Scene) -> None:
    scene.first_champion()
    scene.served(2, 0, errors=50)
    first = scene.step(2)
    scene.clock.pass_seconds(1)
    for where in ({"Version": "1"}, {"Stage": "prod"}, {"Project": "cricket"}):
        scene.metrics.publish({"PredictionErrors": 50}, {"Stage": "local", "Project": "flights", "Version": "2", **where})
    scene.clock.pass_seconds(60)
    assert scene.step(2, first).status == "baking"


def test_each_step_is_judged_by_its_own_traffic(scene: Scene) -> None:
    scene.first_champion()
    first = scene.step(2)
    scene.served(2, 1000)
    second = scene.step(2, first)
    scene.served(2, 90, errors=10)
    assert scene.step(2, second).status == "rolled_back"


# -- the same call again --------------------------------------------------------------------------------------------


def test_every_call_made_twice_moves_once(scene: Scene) -> None:
    scene.first_champion()
    assert scene.step(1).status == "promoted"
    record = None
    for _ in range(3):
        once = scene.step(2, record)
        scene.served(2, 100)
        again = scene.step(2, record)
        assert (again.status, again.step, again.weight) == (once.status, once.step, once.weight)
        record = once
    assert record is not None
    assert record.status == "promoted"
    assert scene.actions() == ["promote", "canary", "canary", "promote"]
    assert scene.registry.endpoint("flights").revision == 4


def test_a_rolled_back_call_made_again_stays_rolled_back(scene: Scene) -> None:
    scene.first_champion()
    first = scene.step(2)
    scene.served(2, 0, errors=10)
    assert scene.step(2, first).status == "rolled_back"
    again = scene.step(2, first)
    assert again.status == "rolled_back"
    assert again.reasons == ["version 2 is no longer challenger: it was rolled back"]
    assert scene.step(2).status == "rolled_back"
    assert scene.actions() == ["promote", "canary", "roll_back"]


def test_an_execution_started_again_continues_the_rollout(scene: Scene) -> None:
    scene.first_champion()
    scene.baked(2, scene.baked(2))
    record = scene.step(2)
    assert (record.status, record.step, record.weight) == ("baking", 1, 0.5)


def test_an_execution_started_again_long_after_does_not_bring_its_version_back(scene: Scene) -> None:
    scene.first_champion()
    scene.registry.create_version(model_version(3, compared_with=2))
    scene.baked(2, scene.baked(2, scene.baked(2)))
    scene.baked(3, scene.baked(3, scene.baked(3)))
    assert scene.registry.endpoint("flights").champion == 3
    assert scene.step(2).reasons == ["version 2 was promoted and replaced since"]
    assert scene.registry.endpoint("flights").champion == 3


# -- others at the endpoint -----------------------------------------------------------------------------------------


def test_a_challenger_that_a_person_took_away_is_rolled_back(scene: Scene) -> None:
    scene.first_champion()
    first = scene.step(2)
    gone = {"challenger": None, "challenger_weight": 0.0}
    scene.registry.move_endpoint("flights", lambda now: now.model_copy(update=gone), actor="ann", action="roll_back")
    for deployment in (first, None):
        record = scene.step(2, deployment)
        assert (record.status, record.weight) == ("rolled_back", 0.0)
        assert record.reasons == ["version 2 is no longer challenger: it was replaced"]
    assert scene.copy().challenger is None


def test_a_decision_against_another_champion_is_out_of_date(scene: Scene) -> None:
    scene.first_champion()
    scene.registry.create_version(model_version(3, compared_with=1))
    scene.baked(2, scene.baked(2, scene.baked(2)))
    record = scene.step(3)
    assert record.status == "rolled_back"
    assert record.reasons == ["its gates compared version 3 with version 1, but version 2 is champion now"]
    assert scene.registry.endpoint("flights").challenger is None


def test_a_decision_without_a_champion_is_out_of_date_once_there_is_one(scene: Scene) -> None:
    scene.first_champion()
    scene.registry.create_version(model_version(3, compared_with=None))
    assert scene.step(3).reasons == ["its gates compared version 3 with no champion, but version 1 is champion now"]


def test_the_newer_rollout_replaces_the_one_under_way(scene: Scene) -> None:
    scene.first_champion()
    scene.registry.create_version(model_version(3, compared_with=1))
    first = scene.step(2)
    assert scene.step(3).reasons[0] == "replaces challenger 2"
    assert scene.step(2, first).status == "rolled_back"
    assert scene.registry.endpoint("flights").challenger == 3


def test_a_decision_overtaken_before_it_was_done_is_made_again(scene: Scene) -> None:
    scene.first_champion()
    first = scene.step(2)
    scene.served(2, 100)
    away = {"challenger": None, "challenger_weight": 0.0}

    class Overtaken:
        def __init__(self) -> None:
            self.looks = 0

        def minutes(self, *about: Any) -> Any:
            self.looks += 1
            if self.looks == 1:
                scene.registry.move_endpoint("flights", lambda now: now.model_copy(update=away), actor="ann", action="roll_back")
            return scene.metrics.minutes(*about)

    assert scene.deploy(metrics=Overtaken())(deployment_request(2, first)).status == "rolled_back"
    assert scene.registry.endpoint("flights").challenger is None


# -- giving up ------------------------------------------------------------------------------------------------------


def test_an_abandoned_rollout_leaves_the_champion_alone_and_may_begin_again(scene: Scene) -> None:
    scene.first_champion()
    scene.step(2)
    record = scene.step(2, abandon=True)
    assert (record.status, record.champion) == ("rolled_back", 1)
    assert scene.copy().challenger is None
    assert scene.step(2, abandon=True).reasons == ["version 2 gets no traffic"]
    assert scene.step(2).status == "baking"
    assert scene.actions() == ["promote", "canary", "abandon", "canary"]


def test_what_is_promoted_cannot_be_abandoned(scene: Scene) -> None:
    scene.first_champion()
    assert scene.step(1, abandon=True).status == "promoted"
    assert scene.copy().champion == 1


@pytest.mark.parametrize("decision", ["refuse", "await_approval"])
def test_only_what_passed_its_gates_is_rolled_out(scene: Scene, decision: str) -> None:
    scene.first_champion()
    scene.registry.create_version(model_version(3, decision=decision, compared_with=1))
    with pytest.raises(IllegalMove, match=f"version 3 was decided {decision}; only a person can promote it"):
        scene.step(3)


def test_what_is_unknown_is_named(scene: Scene) -> None:
    with pytest.raises(NotFound, match="no registered version 9"):
        scene.step(9)


# -- the copy -------------------------------------------------------------------------------------------------------


def test_after_a_crash_before_the_copy_the_retry_writes_it(scene: Scene) -> None:
    class Down:
        get_if_changed = scene.store.get_if_changed

        def put_if_unchanged(self, *about: Any, **named: Any) -> None:
            raise StoreUnavailable("no")

    scene.first_champion()
    with pytest.raises(StoreUnavailable):
        scene.deploy(artifacts=Down())(deployment_request(2))
    assert scene.copy().challenger is None
    assert scene.step(2).status == "baking"
    assert scene.copy() == scene.registry.endpoint("flights")
    assert scene.actions() == ["promote", "canary"]


def test_a_slower_writer_never_overwrites_a_newer_copy(scene: Scene, tmp_path: Path) -> None:
    scene.first_champion()

    class Slow:
        """Stalls before its first write while a person promotes version 2 and renews the copy."""

        get_if_changed = scene.store.get_if_changed
        revisions: ClassVar[list[int]] = []

        def put_if_unchanged(self, key: str, content: bytes, etag: str | None, **named: Any) -> Any:
            if not self.revisions:
                promote(scene.registry, scene.store, "flights", 2, "ann")
            self.revisions.append(Endpoint.model_validate_json(content).revision)
            return scene.store.put_if_unchanged(key, content, etag, **named)

    scene.deploy(artifacts=Slow())(deployment_request(2))
    assert Slow.revisions == [2], "the stale write was refused, and nothing was left to write"
    assert scene.copied_revisions(tmp_path) == [1, 3]
    assert scene.copy() == scene.registry.endpoint("flights")
    assert scene.copy().champion == 2


def test_a_copy_of_another_registry_is_replaced(scene: Scene) -> None:
    scene.first_champion()
    foreign = scene.copy().model_copy(update={"revision": 99, "champion": 2})
    scene.store.put("serving/flights/endpoint.json", foreign.model_dump_json().encode())
    scene.step(1)
    assert scene.copy().champion == 1


def test_the_run_records_how_its_rollout_ended(scene: Scene) -> None:
    scene.step(1)
    found = scene.registry.run("flights", "run-1").deployment
    assert found == DeploymentFacts(status="promoted", step=0, reasons=["there is no champion yet"])


def test_a_version_registered_without_comparison_is_rolled_out(scene: Scene) -> None:
    scene.first_champion()
    bare: ModelVersion = model_version(3).model_copy(update={"tags": {}})
    scene.registry.create_version(bare)
    assert scene.step(3).status == "baking"
