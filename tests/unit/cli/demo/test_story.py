"""The demo after an interruption: what the services durably hold is taken for what it is, and nothing is awaited twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from cli.commands.monitor import find_record
from cli.demo import loop, summary
from cli.demo.flights import Month
from cli.demo.predictions import CollectedPredictions
from cli.demo.story import Outcome, Story, monitor_name
from cli.shared import executions
from cli.shared.console import Output
from cli.shared.failures import Failure
from cli.shared.platform import Platform
from driftless.records import IngestFacts, MonitoringRecord, RetrainDecision
from tests.unit.cli.fakes import Pages, StepFunctions

MAY, JUNE = Month(5), Month(6)
LONG_AGO = datetime.now(UTC) - timedelta(days=1)


def judgement(month: Month, harm: int = 2) -> str:
    """Output of a monitor execution."""
    record = {
        "project": "flights",
        "version": 1,
        "window_start": month.start.isoformat(),
        "window_end": month.end.isoformat(),
        "predictions": 8000,
        "labels": 7000,
        "drift_level": 1,
        "harm_level": harm,
        "metrics": {"log_loss": 0.5678},
        "reference_metrics": {"log_loss": 0.5},
        "signals": [],
        "report": None,
    }
    return json.dumps({"monitoring": record})


def judge(
    states: StepFunctions, month: Month, when: datetime, harm: int = 2, attempt: str = "", status: str = "SUCCEEDED"
) -> MonitoringRecord:
    """A monitor execution of a month that began at ``when``."""
    output, ended = judgement(month, harm), when + timedelta(seconds=5)
    states.add("monitor", monitor_name(month) + attempt, status, output=output, startDate=when, stopDate=ended)
    return find_record(json.loads(output))


def decide(platform: Platform, when: datetime, run_id: str | None = "retrain-flights-1") -> None:
    """What the governor would have stored."""
    reasons = ["harm asks for it"] if run_id else ["a training runs already: flights-x"]
    decision = RetrainDecision(
        project="flights", reason="harm", retrain=run_id is not None, reasons=reasons, run_id=run_id, decided_at=when
    )
    platform.registry.record_retrain("flights", f"event-{when.isoformat()}", lambda _: decision)


def printed(table: Table) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


class CloudWatch:
    """One harm alarm that is silent and remembers nothing, as after a kill."""

    def __init__(self) -> None:
        dimensions = [{"Name": "Stage", "Value": "dev"}, {"Name": "Project", "Value": "flights"}]
        self.alarm = {"AlarmName": "harm", "StateValue": "OK", "MetricName": "HarmLevel", "Dimensions": dimensions}
        self.history: list[dict[str, Any]] = []

    def fire(self, when: datetime) -> None:
        data = {"newState": {"stateValue": "ALARM", "stateReason": "2 >= 2"}}
        self.history.append({"Timestamp": when, "HistoryData": json.dumps(data)})

    def get_paginator(self, operation: str) -> Pages:
        alarms = [{**self.alarm, "StateUpdatedTimestamp": LONG_AGO}]
        return Pages({"AlarmHistoryItems": self.history} if "history" in operation else {"MetricAlarms": alarms})


@pytest.fixture
def now() -> datetime:
    """The moment of this test, not of the import: some of what happens now is awaited for an hour only."""
    return datetime.now(UTC)


@pytest.fixture
def alarms(aws: Platform, monkeypatch: pytest.MonkeyPatch) -> CloudWatch:
    found, original = CloudWatch(), Platform.client
    monkeypatch.setattr(Platform, "client", lambda self, name: found if name == "cloudwatch" else original(self, name))
    return found


@pytest.fixture
def story(alarms: CloudWatch, monkeypatch: pytest.MonkeyPatch) -> Story:
    """A story that fails where it would wait for longer than a moment, and sends nothing."""
    for deadline in ("ALARM_DEADLINE_SECONDS", "GOVERNOR_DEADLINE_SECONDS"):
        monkeypatch.setattr(loop, deadline, 0.0)
    told = Story(Output(as_json=True), [MAY, JUNE])
    monkeypatch.setattr(told, "push", lambda *_: None)
    return told


def test_the_summary_reads_the_rerun_that_succeeded(aws: Platform, states: StepFunctions, tmp_path: Path) -> None:
    states.add("monitor", monitor_name(MAY), "ABORTED")
    states.add("monitor", f"{monitor_name(MAY)}.r2", "SUCCEEDED", output=judgement(MAY))
    shown = printed(summary.months(aws, CollectedPredictions(aws, "flights", tmp_path), Outcome((MAY,), "arn")))
    assert "0.568 (0.500)" in shown


def test_the_summary_counts_every_ingest(aws: Platform) -> None:
    for number in range(60):
        aws.registry.record_ingest("flights", "weather", IngestFacts(key=f"{number}.csv", rows=10, quarantined_rows=1))
    assert summary.ingested(aws, "weather") == "60 files, 600 rows, 60 quarantined"


@pytest.mark.parametrize("attempts", [["SUCCEEDED"], ["ABORTED", "SUCCEEDED"], ["ABORTED"]])
def test_a_month_that_was_given_to_monitoring_is_not_sent_again(
    aws: Platform,
    states: StepFunctions,
    story: Story,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    attempts: list[str],
) -> None:
    for number, status in enumerate(attempts, start=1):
        judge(states, MAY, LONG_AGO, attempt=f".r{number}" if number > 1 else "", status=status)
    states.outcomes = [{"status": "SUCCEEDED", "output": judgement(MAY)}]
    monkeypatch.setattr("cli.demo.story.replay", lambda *_: pytest.fail("the month was sent again"))
    record = story.serve(aws, CollectedPredictions(aws, "flights", tmp_path), MAY, awaits_alarm=True)
    assert record.harm_level == 2
    assert states.started == ([] if "SUCCEEDED" in attempts else [f"{monitor_name(MAY)}.r2"])


def test_a_stored_decision_is_proof_enough_when_the_alarms_history_is_gone(
    aws: Platform, states: StepFunctions, story: Story
) -> None:
    record = judge(states, MAY, LONG_AGO)
    decide(aws, LONG_AGO + timedelta(seconds=9))
    decided = story.harm(aws, MAY, record)
    assert decided is not None
    assert (decided.run_id, states.started) == ("retrain-flights-1", [])


def test_harm_that_was_told_to_nobody_is_judged_again(
    aws: Platform, states: StepFunctions, story: Story, alarms: CloudWatch, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    record = judge(states, MAY, LONG_AGO)
    states.outcomes = [{"status": "SUCCEEDED", "output": judgement(MAY), "startDate": now}]
    start = states.start_execution

    def started(**arguments: Any) -> dict[str, Any]:
        alarms.fire(now)
        decide(aws, now + timedelta(seconds=1))
        return start(**arguments)

    monkeypatch.setattr(states, "start_execution", started)
    decided = story.harm(aws, MAY, record)
    assert decided is not None
    assert (decided.run_id, states.started) == ("retrain-flights-1", [f"{monitor_name(MAY)}.r2"])


def test_harm_that_is_found_no_more_when_judged_again_asks_for_nothing(
    aws: Platform, states: StepFunctions, story: Story
) -> None:
    record = judge(states, MAY, LONG_AGO)
    states.outcomes = [{"status": "SUCCEEDED", "output": judgement(MAY, harm=0)}]
    assert story.harm(aws, MAY, record) is None


def test_an_alarm_that_may_still_come_is_awaited(
    aws: Platform, states: StepFunctions, story: Story, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    monkeypatch.setattr(loop, "ALARM_DEADLINE_SECONDS", 3600.0)
    record = judge(states, MAY, now)
    monkeypatch.setattr(loop, "poll", lambda out, what, *_: pytest.fail(what, pytrace=False))
    with pytest.raises(pytest.fail.Exception, match="alarm harm"):
        story.harm(aws, MAY, record)
    assert states.started == []


def test_an_alarm_without_a_decision_is_a_failure(
    aws: Platform, states: StepFunctions, story: Story, alarms: CloudWatch, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    record = judge(states, MAY, now + timedelta(days=1))
    alarms.fire(now + timedelta(days=1, minutes=2))
    with pytest.raises(Failure, match="the retraining governor: nothing happened"):
        story.harm(aws, MAY, record)


def test_a_decision_about_another_month_is_none_about_this_one(aws: Platform, states: StepFunctions, story: Story) -> None:
    judge(states, MAY, LONG_AGO)
    judge(states, JUNE, LONG_AGO + timedelta(hours=1))
    decide(aws, LONG_AGO - timedelta(hours=1))
    decide(aws, LONG_AGO + timedelta(hours=2))
    assert not story.granted(aws, MAY)
    assert story.granted(aws, JUNE)


def test_a_retraining_granted_before_an_interruption_counts_whoever_serves_now(
    aws: Platform, states: StepFunctions, story: Story, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, now: datetime
) -> None:
    judge(states, MAY, LONG_AGO, status="ABORTED")
    decide(aws, LONG_AGO + timedelta(seconds=9))
    decide(aws, now, run_id=None)
    states.outcomes = [{"status": "SUCCEEDED", "output": judgement(MAY, harm=0), "startDate": now}]
    monkeypatch.setattr(loop, "calm", lambda *_: pytest.fail("waited for an alarm that had its effect"))
    record = story.serve(aws, CollectedPredictions(aws, "flights", tmp_path), MAY, awaits_alarm=True)
    decided = story.harm(aws, MAY, record)
    assert decided is not None
    assert decided.run_id == "retrain-flights-1"


def serving(story: Story, states: StepFunctions, monkeypatch: pytest.MonkeyPatch, levels: dict[Month, int]) -> None:
    """Months that are judged as said, one a minute."""

    def serve(platform: Platform, predictions: CollectedPredictions, month: Month, *, awaits_alarm: bool) -> MonitoringRecord:
        return judge(states, month, LONG_AGO + timedelta(minutes=month.number), levels[month])

    monkeypatch.setattr(story, "serve", serve)


def trained(states: StepFunctions, decision: str) -> str:
    evaluation = {"decision": decision, "metrics": {"log_loss": 0.5}, "reasons": ["worse"], "gates": []}
    output = {"evaluation": evaluation, "version": {"version": 2}, "deployment": {"status": "promoted"}}
    return states.add("train_and_deploy", "retrain-flights-1", "SUCCEEDED", output=json.dumps(output))


@pytest.mark.parametrize("decision", ["promote", "refuse"])
def test_the_months_end_one_after_the_retraining_whatever_the_gate_said(
    aws: Platform, states: StepFunctions, story: Story, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, decision: str
) -> None:
    story.months = (MAY, JUNE, Month(7))
    serving(story, states, monkeypatch, {MAY: 2, JUNE: 2})
    decide(aws, LONG_AGO + timedelta(minutes=5, seconds=9))
    arn = trained(states, decision)
    assert story.serve_months(aws, CollectedPredictions(aws, "flights", tmp_path)) == Outcome((MAY, JUNE), arn)


def test_a_governor_that_declines_is_asked_again_by_the_next_harmful_month(
    aws: Platform, states: StepFunctions, story: Story, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serving(story, states, monkeypatch, {MAY: 2, JUNE: 2})
    decide(aws, LONG_AGO + timedelta(minutes=5, seconds=9), run_id=None)
    decide(aws, LONG_AGO + timedelta(minutes=6, seconds=9))
    arn = trained(states, "promote")
    assert story.serve_months(aws, CollectedPredictions(aws, "flights", tmp_path)) == Outcome((MAY, JUNE), arn)


def test_a_demo_without_a_retraining_has_failed(
    aws: Platform, states: StepFunctions, story: Story, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serving(story, states, monkeypatch, {MAY: 2, JUNE: 0})
    decide(aws, LONG_AGO + timedelta(minutes=5, seconds=9), run_id=None)
    with pytest.raises(Failure, match="refused: 2013-05: a training runs already: flights-x") as caught:
        story.serve_months(aws, CollectedPredictions(aws, "flights", tmp_path))
    assert "--months 5,6,7`" in caught.value.next_step


def test_months_without_harm_end_in_a_failure(
    aws: Platform, states: StepFunctions, story: Story, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serving(story, states, monkeypatch, {MAY: 0, JUNE: 0})
    with pytest.raises(Failure, match="no month was found harmful"):
        story.serve_months(aws, CollectedPredictions(aws, "flights", tmp_path))


def test_a_month_that_was_never_judged_has_no_judgements(aws: Platform, story: Story) -> None:
    assert not story.granted(aws, MAY)
    assert executions.latest(aws, "monitor", monitor_name(MAY)) is None
