"""The governor's decision: each reason against a retraining, alone and together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftless.project import Project, load
from driftless.records import RetrainDecision, RetrainRequest
from driftless.retrain import decide, execution_name

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def project(**retraining: Any) -> Project:
    flights = load(Path(__file__).parents[3] / "projects" / "flights")
    policy = {"cooldown_hours": 24.0, "budget_runs": 3, "budget_days": 30.0, "minimum_new_labels": 0, **retraining}
    return flights.model_copy(update={"retraining": flights.retraining.model_copy(update=policy)})


def run(run_id: str, days_ago: float, **facts: Any) -> dict[str, Any]:
    return {"run_id": run_id, "recorded_at": (NOW - timedelta(days=days_ago)).isoformat(), **facts}


def granted(run_id: str, minutes_ago: float) -> RetrainDecision:
    decided = NOW - timedelta(minutes=minutes_ago)
    return RetrainDecision(project="flights", reason="harm", retrain=True, reasons=[], run_id=run_id, decided_at=decided)


def report(labels: int, *, start_days_ago: float = 30, end_days_ago: float = 0) -> dict[str, Any]:
    start, end = (NOW - timedelta(days=days) for days in (start_days_ago, end_days_ago))
    return {"labels": labels, "window_start": start.isoformat(), "window_end": end.isoformat()}


def asked(reason: Any = "harm", event_id: str = "event-1") -> RetrainRequest:
    return RetrainRequest(project="flights", reason=reason, event_id=event_id)


def outcome(request: RetrainRequest | None = None, policy: Project | None = None, **known: Any) -> RetrainDecision:
    facts: dict[str, Any] = {"runs": [], "retrains": [], "monitoring": [], "running": [], "now": NOW, **known}
    return decide(request or asked(), policy or project(), **facts)


def test_what_nothing_speaks_against_is_granted() -> None:
    decision = outcome()
    assert (decision.retrain, decision.run_id) == (True, execution_name(asked()))
    assert decision.reasons == ["harm asks for it; 0 of 3 trainings of the budget are used"]
    assert decision.decided_at == NOW


def test_only_the_projects_triggers_count() -> None:
    decision = outcome(asked("drift"))
    assert (decision.retrain, decision.run_id) == (False, None)
    assert decision.reasons == ["drift is not among the project's triggers (schedule, harm)"]
    assert outcome(asked("drift"), project(triggers=("drift",))).retrain


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("retrain-flights-abc", []),
        ("flights-20260301T115900", []),
        ("july", [run("july", 2)]),
        ("july.r2", [run("july", 2)]),
    ],
)
def test_one_training_at_a_time(name: str, runs: list[dict[str, Any]]) -> None:
    decision = outcome(runs=runs, running=[name])
    assert decision.reasons == [f"a training runs already: {name.split('.')[0]}"]


@pytest.mark.parametrize("name", ["retrain-flights_2-abc", "cricket-1", "flights_2-1", "july"])
def test_trainings_of_other_projects_do_not_count(name: str) -> None:
    assert outcome(running=[name]).retrain


def test_a_retraining_just_granted_counts_although_nothing_shows_it_yet() -> None:
    policy = project(cooldown_hours=0.0)
    assert outcome(policy=policy, retrains=[granted("retrain-flights-a", 1)]).reasons == [
        "a training runs already: retrain-flights-a"
    ]
    assert outcome(policy=policy, retrains=[granted("retrain-flights-a", 6)]).retrain
    ended = [run("retrain-flights-a", 0)]
    assert outcome(policy=policy, retrains=[granted("retrain-flights-a", 1)], runs=ended).retrain


def test_trainings_cool_down_whoever_started_them() -> None:
    assert not outcome(runs=[run("by-hand", 0.99), run("older", 9)]).retrain
    assert outcome(runs=[run("by-hand", 1), run("older", 9)]).retrain
    decision = outcome(retrains=[granted("retrain-flights-a", 60)])
    assert decision.reasons == ["the last training began 2026-03-01 11:00 UTC; the next may begin 2026-03-02 11:00 UTC"]


def test_the_budget_counts_each_training_once_and_forgets_old_ones() -> None:
    used = [run("retrain-flights-a", 5), run("b", 10), run("c", 31)]
    earlier = [granted("retrain-flights-a", 5 * 24 * 60)]
    assert outcome(runs=used, retrains=earlier).reasons == ["harm asks for it; 2 of 3 trainings of the budget are used"]
    spent = outcome(runs=[*used, run("d", 29)], retrains=earlier)
    assert spent.reasons == ["3 trainings in 30 days, the budget is 3"]


def test_refused_requests_cost_nothing() -> None:
    refused = granted("x", 60).model_copy(update={"retrain": False, "run_id": None})
    assert outcome(retrains=[refused] * 10).retrain


def test_new_labels_are_those_no_training_has_seen() -> None:
    policy = project(minimum_new_labels=300)
    assert outcome(policy=policy).reasons == ["0 labels since the last training, 300 are needed"]
    assert outcome(policy=policy, monitoring=[report(300)]).retrain
    half = [run("a", 20, dataset={"holdout_end": (NOW - timedelta(days=15)).isoformat()})]
    assert outcome(policy=policy, monitoring=[report(600)], runs=half).retrain
    assert outcome(policy=policy, monitoring=[report(500)], runs=half).reasons == [
        "250 labels since the last training, 300 are needed"
    ]
    ahead = [run("a", 20, dataset={"holdout_end": (NOW + timedelta(days=1)).isoformat()})]
    assert outcome(policy=policy, monitoring=[report(600)], runs=ahead).reasons[0].startswith("0 labels")
    before = [run("a", 40, dataset={"holdout_end": (NOW - timedelta(days=31)).isoformat()})]
    assert outcome(policy=policy, monitoring=[report(300)], runs=before).retrain


def test_an_empty_window_has_no_labels() -> None:
    empty = {"labels": 0, "window_start": None, "window_end": NOW.isoformat()}
    assert not outcome(policy=project(minimum_new_labels=1), monitoring=[empty]).retrain


def test_every_reason_against_is_told() -> None:
    decision = outcome(
        asked("new_data"), project(minimum_new_labels=10, budget_runs=1), runs=[run("a", 0.5)], running=["a"], monitoring=[]
    )
    assert len(decision.reasons) == 5


def test_an_event_has_one_name_that_step_functions_accepts() -> None:
    names = {execution_name(asked(event_id=f"event {number}")) for number in range(100)}
    assert len(names) == 100
    assert execution_name(asked()) == execution_name(asked("drift"))
    longest = RetrainRequest(project="a" * 40, reason="harm", event_id="x" * 1000)
    assert len(execution_name(longest)) <= 80
    assert "." not in execution_name(longest)
