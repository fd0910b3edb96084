"""The retraining policy: each reason against a retraining, alone and together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftless.definition.loading import load
from driftless.definition.project import Project
from driftless.monitoring.retraining_policy import Known, decide, execution_name
from driftless.records import DatasetFacts, RecordedRun, RetrainDecision, RetrainRequest, WindowReport

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def project(**retraining: Any) -> Project:
    flights = load(Path(__file__).parents[4] / "projects" / "flights")
    policy = {"cooldown_hours": 24.0, "budget_runs": 3, "budget_days": 30.0, "minimum_new_labels": 0, **retraining}
    return flights.model_copy(update={"retraining": flights.retraining.model_copy(update=policy)})


def failed(run_id: str, days_ago: float, **facts: Any) -> RecordedRun:
    """A run without a gate decision."""
    return RecordedRun(run_id=run_id, project="flights", recorded_at=NOW - timedelta(days=days_ago), **facts)


def run(run_id: str, days_ago: float, **facts: Any) -> RecordedRun:
    return failed(run_id, days_ago, decision="refuse", **facts)


def granted(run_id: str, minutes_ago: float) -> RetrainDecision:
    decided = NOW - timedelta(minutes=minutes_ago)
    return RetrainDecision(project="flights", reason="harm", retrain=True, reasons=[], run_id=run_id, decided_at=decided)


def report(labels: dict[int, int], *, judged_days_ago: float = 0, **levels: Any) -> WindowReport:
    """A monitoring report; labels by how many days ago their day began."""
    midnight = NOW.replace(hour=0)
    days = {(midnight - timedelta(days=ago)).date().isoformat(): count for ago, count in labels.items()}
    judged = NOW - timedelta(days=judged_days_ago)
    return WindowReport(project="flights", window_end=NOW, recorded_at=judged, labels_by_day=days, **levels)


def retrain_request(reason: Any = "harm", event_id: str = "event-1") -> RetrainRequest:
    return RetrainRequest(project="flights", reason=reason, event_id=event_id)


def outcome(request: RetrainRequest | None = None, policy: Project | None = None, **known: Any) -> RetrainDecision:
    facts: dict[str, Any] = {"runs": [], "retrains": [], "reports": [], "running": [], **known}
    return decide(request or retrain_request(), policy or project(), Known(**facts), NOW)


def test_a_request_that_no_rule_refuses_is_granted() -> None:
    decision = outcome()
    assert (decision.retrain, decision.run_id) == (True, execution_name(retrain_request()))
    assert decision.reasons == ["trigger harm; 0 of 3 trainings of the budget are used"]
    assert decision.decided_at == NOW


def test_only_the_projects_triggers_count() -> None:
    decision = outcome(retrain_request("drift"))
    assert (decision.retrain, decision.run_id) == (False, None)
    assert decision.reasons == ["drift is not one of the project's triggers (schedule, harm)"]
    assert outcome(retrain_request("drift"), project(triggers=("drift",))).retrain


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("retrain-flights-abc", []),
        ("flights-20260301T115900", []),
        ("july", [run("july", 2)]),
        ("july.r2", [run("july", 2)]),
    ],
)
def test_one_training_at_a_time(name: str, runs: list[RecordedRun]) -> None:
    decision = outcome(runs=runs, running=[name])
    assert decision.reasons == [f"a training is running: {name.split('.')[0]}"]


@pytest.mark.parametrize("name", ["retrain-flights_2-abc", "cricket-1", "flights_2-1", "july"])
def test_trainings_of_other_projects_do_not_count(name: str) -> None:
    assert outcome(running=[name]).retrain


def test_a_retraining_just_granted_counts_although_nothing_shows_it_yet() -> None:
    policy = project(cooldown_hours=0.0)
    assert outcome(policy=policy, retrains=[granted("retrain-flights-a", 1)]).reasons == [
        "a training is running: retrain-flights-a"
    ]
    assert "a training is running" not in outcome(policy=policy, retrains=[granted("retrain-flights-a", 6)]).reasons[0]
    unseen = failed("retrain-flights-a", 0)
    assert "a training is running" in outcome(policy=policy, retrains=[granted("retrain-flights-a", 1)], runs=[unseen]).reasons[0]
    ended = [run("retrain-flights-a", 0)]
    assert outcome(policy=policy, retrains=[granted("retrain-flights-a", 1)], runs=ended).retrain


def test_trainings_cool_down_whoever_started_them() -> None:
    assert not outcome(runs=[run("by-hand", 0.99), run("older", 9)]).retrain
    assert outcome(runs=[run("by-hand", 1), run("older", 9)]).retrain
    decision = outcome(runs=[run("by-hand", 1 / 24)])
    assert decision.reasons == ["the last training began 2026-03-01 11:00 UTC; the next may begin 2026-03-02 11:00 UTC"]


def test_the_budget_counts_each_training_of_its_period_once() -> None:
    used = [run("retrain-flights-a", 5), run("b", 10), run("c", 31)]
    earlier = [granted("retrain-flights-a", 5 * 24 * 60)]
    assert outcome(runs=used, retrains=earlier).reasons == ["trigger harm; 2 of 3 trainings of the budget are used"]
    spent = outcome(runs=[*used, run("d", 29)], retrains=earlier)
    assert spent.reasons == ["3 trainings in 30 days, the budget is 3"]


def test_refused_requests_cost_nothing() -> None:
    refused = granted("x", 60).model_copy(update={"retrain": False, "run_id": None})
    assert outcome(retrains=[refused] * 10).retrain


def test_new_labels_are_those_of_days_after_all_that_a_training_has_read() -> None:
    policy = project(minimum_new_labels=300)

    def labels(days: dict[int, int], *runs: RecordedRun) -> list[str]:
        return outcome(policy=policy, reports=[report(days)], runs=runs).reasons

    def ended(days_ago: float) -> DatasetFacts:
        return DatasetFacts(holdout_end=NOW - timedelta(days=days_ago))

    assert outcome(policy=policy).reasons == ["0 labels since the last training, 300 are needed"]
    assert outcome(policy=policy, reports=[report({20: 100, 2: 200})]).retrain
    assert labels({20: 900, 14: 200, 2: 99}, run("a", 20, dataset=ended(15))) == [
        "299 labels since the last training, 300 are needed"
    ]
    assert outcome(policy=policy, reports=[report({20: 900, 14: 200, 2: 100})], runs=[run("a", 20, dataset=ended(15))]).retrain
    assert labels({0: 900}, run("a", 20, dataset=ended(0)))[0].startswith("0 labels"), "part of that day was read"
    assert labels({2: 900}, run("a", 20, dataset=ended(1.5)), run("b", 25, dataset=ended(9)))[0].startswith("0 labels")
    assert outcome(policy=policy, reports=[report({2: 900})], runs=[failed("a", 5, dataset=ended(1))]).retrain, (
        "what only a failed run has read, no training has"
    )


def test_an_empty_window_has_no_labels() -> None:
    assert not outcome(policy=project(minimum_new_labels=1), reports=[report({})]).retrain


def test_a_failed_run_costs_no_budget_but_the_next_waits() -> None:
    policy = project(budget_runs=2)
    assert outcome(policy=policy, runs=[failed("c", 2), run("b", 5), failed("a", 6)]).reasons == [
        "trigger harm; 1 of 2 trainings of the budget are used"
    ]
    assert outcome(policy=policy, runs=[failed("c", 0.99), run("b", 5)]).reasons == [
        "the last run, begun 2026-02-28 12:14 UTC, ended without a gate decision; the next may begin 2026-03-01 12:14 UTC"
    ]
    assert outcome(policy=policy, runs=[failed("c", 1), failed("d", 3)]).reasons == [
        "the last 2 runs, the newest begun 2026-02-28 12:00 UTC, ended without a gate decision; "
        "the next may begin 2026-03-02 12:00 UTC"
    ]


@pytest.mark.parametrize(
    ("cooldown", "failures", "hours"), [(24, 1, 24), (24, 2, 48), (24, 3, 72), (24, 9, 72), (0, 1, 1), (0, 3, 4), (0, 400, 72)]
)
def test_failures_in_a_row_wait_twice_as_long_each_up_to_three_days(cooldown: float, failures: int, hours: float) -> None:
    policy = project(cooldown_hours=cooldown)

    def after(waited: float) -> RetrainDecision:
        runs = [failed(f"f{number}", waited / 24 + number) for number in range(failures)]
        return outcome(policy=policy, runs=[*runs, run("trained", 500)])

    assert after(hours).retrain
    assert not after(hours - 0.01).retrain


def test_a_long_cooldown_is_kept_after_a_failure() -> None:
    policy = project(cooldown_hours=240)
    assert not outcome(policy=policy, runs=[failed("a", 9.9)]).retrain
    assert outcome(policy=policy, runs=[failed("a", 10)] + [failed(f"f{number}", 11 + number) for number in range(5)]).retrain


def test_a_granted_run_that_nothing_recorded_has_failed() -> None:
    policy = project(cooldown_hours=0, budget_runs=1)
    assert not outcome(policy=policy, retrains=[granted("retrain-flights-a", 59)]).retrain
    assert outcome(policy=policy, retrains=[granted("retrain-flights-a", 60)]).retrain


def test_a_second_attempt_at_a_run_is_that_run() -> None:
    policy = project(cooldown_hours=0, budget_runs=2)
    aborted = failed("july", 0.01, dataset=DatasetFacts())
    assert outcome(policy=policy, runs=[aborted], running=["july.r2"]).reasons == ["a training is running: july"]
    assert not outcome(policy=policy, runs=[aborted]).retrain, "until it is tried again, it has failed"
    judged = aborted.model_copy(update={"decision": "promote"})
    assert outcome(policy=policy, runs=[judged]).reasons == ["trigger harm; 1 of 2 trainings of the budget are used"]


def test_harm_found_before_the_last_training_does_not_retrain_again() -> None:
    policy = project(cooldown_hours=0)
    windows = [report({}, judged_days_ago=0.2, harm_level=2), report({}, judged_days_ago=0.3, harm_level=2)]
    after, before = run("a", 0.1), run("a", 0.25)
    assert outcome(policy=policy, reports=windows, runs=[after]).reasons == [
        "the harm of 2026-03-01 07:12 UTC has been retrained for: a training began 2026-03-01 09:36 UTC"
    ]
    assert outcome(policy=policy, reports=windows, runs=[before]).retrain, "the newer report came after it"
    assert outcome(policy=policy, reports=windows[::-1], runs=[before]).retrain, "in whatever order windows were judged"
    assert outcome(retrain_request("schedule"), policy, reports=windows, runs=[after]).retrain
    quiet = [report({}, judged_days_ago=0.2, harm_level=1)]
    assert outcome(policy=policy, reports=quiet, runs=[after]).retrain, "a request may know more than the reports"
    assert outcome(policy=policy, reports=windows, runs=[failed("f", 0.15), before]).retrain, "a failed run is no training"


def test_a_refusal_names_every_reason() -> None:
    decision = outcome(
        retrain_request("drift"), project(minimum_new_labels=10, budget_runs=1), runs=[run("a", 0.5)], running=["a"], reports=[]
    )
    assert len(decision.reasons) == 5


def test_an_event_has_one_name_that_step_functions_accepts() -> None:
    names = {execution_name(retrain_request(event_id=f"event {number}")) for number in range(100)}
    assert len(names) == 100
    assert execution_name(retrain_request()) == execution_name(retrain_request("drift"))
    longest = RetrainRequest(project="a" * 40, reason="harm", event_id="x" * 1000)
    assert len(execution_name(longest)) <= 80
    assert "." not in execution_name(longest)
