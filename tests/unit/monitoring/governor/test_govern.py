"""The governor at work: one decision and at most one execution per event, whatever is delivered and whatever crashes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftless.definition.loading import load
from driftless.errors import NotFound, StoreUnavailable
from driftless.monitoring.governor import Govern
from driftless.monitoring.retraining_policy import execution_name
from driftless.records import RetrainDecision, RetrainRequest, Run, RunFacts, WindowFacts
from driftless.testing.memory_registry import MemoryRegistry, MemoryWorkflow

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Scene:
    now = NOW

    def __init__(self) -> None:
        flights = load(Path(__file__).parents[4] / "projects" / "flights")
        self.registry = MemoryRegistry(clock=lambda: self.now, pause=lambda seconds: None)
        self.workflow = MemoryWorkflow()
        self.projects = {"flights": flights}

    def request(self, event_id: str, reason: Any = "harm", workflow: Any = None) -> RetrainDecision:
        govern = Govern(
            registry=self.registry, workflow=workflow or self.workflow, projects=self.projects, clock=lambda: self.now
        )
        return govern(RetrainRequest(project="flights", reason=reason, event_id=event_id, asked_by="alarm Harm"))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_granted_request_starts_the_machine_under_its_name(scene: Scene) -> None:
    decision = scene.request("event-1")
    assert decision.run_id == execution_name(RetrainRequest(project="flights", reason="harm", event_id="event-1"))
    assert scene.workflow.started == {decision.run_id: {"project": "flights", "reason": "harm", "requested_by": "governor"}}
    assert scene.registry.retrains("flights") == [decision]
    assert decision.asked_by == "alarm Harm"


def test_an_event_delivered_again_starts_nothing_more(scene: Scene) -> None:
    first = scene.request("event-1")
    scene.workflow.active.clear()
    scene.registry.record_run(Run(run_id=str(first.run_id), execution_arn="arn", project="flights"), RunFacts(decision="refuse"))
    assert scene.request("event-1") == first
    assert len(scene.workflow.started) == 1
    assert scene.workflow.running() == []


def test_a_run_that_fails_before_any_step_records_it_counts_after_many_refusals(scene: Scene) -> None:
    first = scene.request("event-0")
    (known,) = scene.registry.runs("flights")
    assert (known.run_id, known.reason, known.recorded_at) == (first.run_id, "harm", NOW)
    assert known.execution_arn.endswith(f":{first.run_id}")
    scene.workflow.active.clear()
    scene.now += timedelta(minutes=6)
    refused = [scene.request(f"event-{number}") for number in range(1, 61)]
    assert {decision.retrain for decision in refused} == {False}
    assert "ended without a gate decision" in refused[-1].reasons[0]


def test_a_refused_request_is_kept_and_starts_nothing(scene: Scene) -> None:
    decision = scene.request("event-1", "drift")
    assert not decision.retrain
    assert scene.registry.retrains("flights") == [decision]
    assert scene.workflow.started == {}


def test_two_alarms_at_once_start_one_training(scene: Scene) -> None:
    class Overtaken(MemoryWorkflow):
        """Returns the running executions only after a second event was decided and started."""

        def running(self) -> list[str]:
            before = scene.workflow.running()
            if not before:
                scene.request("event-2", "schedule")
            return before

    assert not scene.request("event-1", workflow=Overtaken()).retrain
    assert len(scene.workflow.started) == 1
    assert [decision.retrain for decision in scene.registry.retrains("flights")] == [False, True]


def test_requests_of_an_alarm_and_of_monitoring_for_one_report_start_one_training(scene: Scene) -> None:
    scene.registry.record_monitoring("flights", NOW, WindowFacts(harm_level=2))
    scene.now += timedelta(seconds=1)
    first = scene.request("harm execution-1")
    scene.workflow.active.clear()
    scene.registry.record_run(Run(run_id=str(first.run_id), execution_arn="arn", project="flights"), RunFacts(decision="refuse"))
    scene.now += timedelta(minutes=6)
    second = scene.request("the alarm's event, late")
    assert first.retrain
    assert second.reasons == ["the harm of 2026-03-01 12:00 UTC has been retrained for: a training began 2026-03-01 12:00 UTC"]
    scene.registry.record_monitoring("flights", NOW, WindowFacts(harm_level=2))
    scene.now += timedelta(seconds=1)
    assert scene.request("harm execution-2").retrain, "harm that a training did not end requests another"


def test_after_a_crash_between_decision_and_start_the_next_delivery_starts_it(scene: Scene) -> None:
    class Down(MemoryWorkflow):
        def start(self, name: str, payload: dict[str, Any]) -> str:
            raise StoreUnavailable("no")

    with pytest.raises(StoreUnavailable):
        scene.request("event-1", workflow=Down())
    assert scene.registry.retrains("flights")[0].retrain
    assert scene.request("event-1").retrain
    assert len(scene.workflow.started) == 1


def test_an_unknown_project_is_named(scene: Scene) -> None:
    scene.projects.clear()
    with pytest.raises(NotFound, match="no project 'flights'; known: none"):
        scene.request("event-1")
