"""Deliveries at the same time: one event is decided once and started once, two events train once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftless.adapters.registry import TableRegistry
from driftless.definition.loading import load
from driftless.monitoring.governor import Govern
from driftless.records import RetrainDecision, RetrainRequest
from driftless.testing.memory_registry import MemoryItems, MemoryWorkflow
from tests.unit.adapters.registry.contention import contend

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FLIGHTS = load(Path(__file__).parents[4] / "projects" / "flights")


class Starts(MemoryWorkflow):
    """Counts how often a start is requested."""

    def __init__(self) -> None:
        super().__init__()
        self.requested: list[str] = []

    def start(self, name: str, payload: dict[str, Any]) -> str:
        self.requested.append(name)
        return super().start(name, payload)


def deliver(seed: int, events: list[str], reason: Any = "harm") -> tuple[Starts, list[RetrainDecision], TableRegistry, int]:
    """Deliver events at the same time, in an interleaving drawn from the seed; lost races are counted."""
    items, workflow, decisions = MemoryItems(), Starts(), []

    def work(registry: TableRegistry, contender: int) -> None:
        moment = NOW + timedelta(milliseconds=contender)
        govern = Govern(registry=registry, workflow=workflow, projects={"flights": FLIGHTS}, clock=lambda: moment)
        decisions.append(govern(RetrainRequest(project="flights", reason=reason, event_id=events[contender])))

    lost = contend(seed, items, work, contenders=len(events))
    return workflow, decisions, TableRegistry(items), lost


@pytest.mark.parametrize("seed", range(20))
def test_one_event_delivered_twice_at_once_starts_one_execution(seed: int) -> None:
    workflow, decisions, registry, _ = deliver(seed, ["event-1", "event-1"])
    first, second = decisions
    assert first == second
    assert first.retrain
    assert list(workflow.started) == [first.run_id]
    assert registry.retrains("flights") == [first]
    assert [run.run_id for run in registry.runs("flights")] == [first.run_id]


@pytest.mark.parametrize("seed", range(20))
def test_two_events_at_once_start_one_execution(seed: int) -> None:
    workflow, decisions, registry, _ = deliver(seed, ["event-1", "event-2", "event-1"])
    assert len(workflow.started) == 1
    assert sorted(decision.retrain for decision in registry.retrains("flights")) == [False, True]
    assert {decision.run_id for decision in decisions if decision.retrain} == set(workflow.started)


def test_deliveries_contend() -> None:
    outcomes = [deliver(seed, ["event-1", "event-1"]) for seed in range(20)]
    assert sum(lost for *_, lost in outcomes) > 5, "both deliveries decided before one of them wrote"
    assert any(len(workflow.requested) == 2 for workflow, *_ in outcomes), "both deliveries started the execution"


@pytest.mark.parametrize("seed", range(5))
def test_a_refused_event_delivered_twice_at_once_is_refused_once(seed: int) -> None:
    workflow, decisions, registry, _ = deliver(seed, ["event-1", "event-1"], reason="drift")
    assert decisions[0] == decisions[1]
    assert registry.retrains("flights") == [decisions[0]]
    assert workflow.started == {}
