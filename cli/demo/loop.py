"""Waiting for what the platform does by itself, always by asking it, always with a deadline."""

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
    """Ask until there is an answer.

    Raises
    ------
    Failure
        When there is none within ``deadline`` seconds.
    """
    until = time.monotonic() + deadline
    with out.progress.status(f"waiting for {what}"):
        while True:
            answer = ask()
            if answer is not None:
                return answer
            if time.monotonic() > until:
                raise Failure(what, f"nothing happened within {deadline:.0f} s", next_step)
            time.sleep(POLL_SECONDS)


def settled(
    platform: Platform, out: Output, machine: str, name: str, payload: dict[str, Any] | None = None
) -> tuple[Execution, bool]:
    """The succeeded execution of a run, started, followed or run again as need be; and whether it was there already.

    Parameters
    ----------
    payload : dict, optional
        Input to start it with; without, somebody else has started it.

    Raises
    ------
    Failure
        When it fails now.
    """
    found = executions.latest(platform, machine, name)
    if found is None and payload is None:
        raise Failure(f"{machine} {name}", "it was said to be started but does not exist", "`driftless pipelines list`")
    if found is None:
        arn, started = executions.start(platform, machine, name, payload or {}), True
    elif found["status"] in (history.SUCCEEDED, history.RUNNING):
        arn, started = found["executionArn"], found["status"] == history.RUNNING
    else:
        out.say(f"  {found['name']} {found['status'].lower()} earlier; running it again")
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
    raise Failure("alarms", f"there is no harm alarm of {project}", "run `driftless up`")


def fired(platform: Platform, project: str, since: datetime) -> Alarm | None:
    """The harm alarm as it went to ALARM after ``since``, by its history or its state; None when nothing is known of that."""
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
    """The harm alarm once it is out of ALARM, so that the next harm is a change of state again."""

    def ask() -> Alarm | None:
        now = harm_alarm(platform, project)
        return now if now.state != "ALARM" else None

    return poll(out, "the alarm to settle", ask, ALARM_DEADLINE_SECONDS, "`driftless status` shows the alarm's state")


@dataclass(frozen=True)
class Judgements:
    """When a month was judged first and last, how long ago the last ended, and when the next month was; aware times, UTC."""

    first: datetime
    latest: datetime
    ended: datetime | None
    following: datetime | None


def asker(decided: RetrainDecision) -> str:
    """Who woke the governor, in a word."""
    return decided.asked_by.split(" ")[0] or "a person"


def decision(platform: Platform, project: str, judged: Judgements) -> RetrainDecision | None:
    """What the governor has decided about a month's harm, as the registry keeps it; None when it has not been asked yet.

    Every judgement asks anew: a retraining counts whichever was granted it, a refusal only when it answers the latest.
    """
    about = [
        decided
        for decided in platform.registry.retrains(project, limit=EVERY)
        if decided.reason == "harm" and not (judged.following and decided.decided_at >= judged.following)
    ]
    granted = [decided for decided in about if decided.retrain and decided.decided_at >= judged.first]
    answers = granted or [decided for decided in about if decided.decided_at >= judged.latest]
    return answers[0] if answers else None
