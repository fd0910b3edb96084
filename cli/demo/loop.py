"""Wait for the platform's own reactions: poll the services, always with a deadline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from cli.shared import executions, history
from cli.shared.console import Output
from cli.shared.failures import Failure
from cli.shared.history import Execution
from cli.shared.platform import EVERY, Platform
from driftless.records import RetrainDecision

T = TypeVar("T")
ALARM_DEADLINE_SECONDS = 180.0
GOVERNOR_DEADLINE_SECONDS = 120.0
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Alarm:
    """A CloudWatch alarm as CloudWatch describes it."""

    name: str
    state: str
    reason: str
    since: datetime


def poll(out: Output, what: str, ask: Callable[[], T | None], deadline: float, next_step: str) -> T:
    """Call ``ask`` until it returns a value.

    Raises
    ------
    Failure
        When it returns none within ``deadline`` seconds.
    """
    until = time.monotonic() + deadline
    with out.progress.status(f"waiting for {what}"):
        while True:
            found = ask()
            if found is not None:
                return found
            if time.monotonic() > until:
                raise Failure(what, f"nothing happened within {deadline:.0f} s", next_step)
            time.sleep(POLL_SECONDS)


def settled(
    platform: Platform, out: Output, machine: str, name: str, payload: dict[str, Any] | None = None
) -> tuple[Execution, bool]:
    """The succeeded execution of a run (started, followed or rerun if necessary), and whether it existed.

    Parameters
    ----------
    payload : dict, optional
        Input to start it with. Without it, the execution must already exist.

    Raises
    ------
    Failure
        When it fails.
    """
    found = executions.latest(platform, machine, name)
    if found is None and payload is None:
        raise Failure(f"{machine} {name}", "the platform reported its start, but it does not exist", "`driftless pipelines list`")
    if found is None:
        arn, started = executions.start(platform, machine, name, payload or {}), True
    elif found["status"] in (history.SUCCEEDED, history.RUNNING):
        arn, started = found["executionArn"], found["status"] == history.RUNNING
    else:
        out.say(f"  {found['name']} {found['status'].lower()} earlier; starting a rerun")
        arn, started = executions.rerun(platform, machine, name)
    execution = executions.follow(platform, arn, out) if started else executions.read(platform, arn)
    return executions.require_success(execution), not started


def harm_alarm(platform: Platform, project: str) -> Alarm:
    """The project's harm alarm.

    Raises
    ------
    Failure
        When there is none.
    """
    pages = platform.client("cloudwatch").get_paginator("describe_alarms").paginate()
    for page in pages:
        for alarm in page["MetricAlarms"]:
            dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions", [])}
            if alarm.get("MetricName") == "HarmLevel" and dimensions == {"Stage": platform.stage, "Project": project}:
                return Alarm(
                    alarm["AlarmName"], alarm["StateValue"], alarm.get("StateReason", ""), alarm["StateUpdatedTimestamp"]
                )
    raise Failure("alarms", f"project {project} has no harm alarm", "run `driftless up`")


def fired(platform: Platform, project: str, since: datetime) -> Alarm | None:
    """The harm alarm's transition to ALARM after ``since``, from its history or state; None without one."""
    alarm = harm_alarm(platform, project)
    pages = (
        platform.client("cloudwatch")
        .get_paginator("describe_alarm_history")
        .paginate(AlarmName=alarm.name, HistoryItemType="StateUpdate", StartDate=since)
    )
    for entry in (entry for page in pages for entry in page["AlarmHistoryItems"]):
        state = json.loads(entry["HistoryData"])["newState"]
        if state["stateValue"] == "ALARM" and entry["Timestamp"] >= since:
            return Alarm(alarm.name, "ALARM", state["stateReason"], entry["Timestamp"])
    return alarm if alarm.state == "ALARM" and alarm.since >= since else None


def calm(platform: Platform, out: Output, project: str) -> Alarm:
    """The harm alarm once it has left ALARM, so that the next harm changes its state again."""

    def ask() -> Alarm | None:
        now = harm_alarm(platform, project)
        return now if now.state != "ALARM" else None

    return poll(out, "the alarm to leave ALARM", ask, ALARM_DEADLINE_SECONDS, "`driftless status` shows the alarm's state")


@dataclass(frozen=True)
class Judgements:
    """When a month was monitored first and last, the last end, and when the next month was; UTC times."""

    first: datetime
    latest: datetime
    ended: datetime | None
    following: datetime | None


def trigger_of(decided: RetrainDecision) -> str:
    """What triggered the governor, in one word."""
    return decided.asked_by.split(" ")[0] or "a person"


def decision(platform: Platform, project: str, judged: Judgements) -> RetrainDecision | None:
    """The governor's decision about a month's harm, from the registry; None before there is one.

    Each monitoring execution can trigger the governor. A granted retraining counts for any of them, a refusal only
    for the latest.
    """
    about = [
        decided
        for decided in platform.registry.retrains(project, limit=EVERY)
        if decided.reason == "harm" and not (judged.following and decided.decided_at >= judged.following)
    ]
    granted = [decided for decided in about if decided.retrain and decided.decided_at >= judged.first]
    answers = granted or [decided for decided in about if decided.decided_at >= judged.latest]
    return answers[0] if answers else None
