"""Waiting for what the platform does by itself, always by asking it, always with a deadline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from cli import executions
from cli.console import Output
from cli.executions import Execution
from cli.failures import Failure
from cli.platform import Platform
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
    elif found["status"] in (executions.SUCCEEDED, executions.RUNNING):
        arn, started = found["executionArn"], found["status"] == executions.RUNNING
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


def fired(platform: Platform, out: Output, project: str, since: datetime) -> Alarm:
    """The harm alarm once it has gone to ALARM after ``since``, by its history."""
    alarm = harm_alarm(platform, project)
    client = platform.client("cloudwatch")

    def ask() -> Alarm | None:
        pages = client.get_paginator("describe_alarm_history").paginate(
            AlarmName=alarm.name, HistoryItemType="StateUpdate", StartDate=since
        )
        for entry in (entry for page in pages for entry in page["AlarmHistoryItems"]):
            state = json.loads(entry["HistoryData"])["newState"]
            if state["stateValue"] == "ALARM" and entry["Timestamp"] >= since:
                return Alarm(alarm.name, "ALARM", state["stateReason"], entry["Timestamp"])
        now = harm_alarm(platform, project)
        return now if now.state == "ALARM" and now.since >= since else None

    return poll(out, f"alarm {alarm.name}", ask, ALARM_DEADLINE_SECONDS, "`driftless status` shows the alarm's state")


def calm(platform: Platform, out: Output, project: str) -> Alarm:
    """The harm alarm once it is out of ALARM, so that the next harm is a change of state again."""

    def ask() -> Alarm | None:
        now = harm_alarm(platform, project)
        return now if now.state != "ALARM" else None

    return poll(out, "the alarm to settle", ask, ALARM_DEADLINE_SECONDS, "`driftless status` shows the alarm's state")


def decision(platform: Platform, out: Output, project: str, since: datetime) -> RetrainDecision:
    """The governor's decision about harm taken after ``since``."""

    def ask() -> RetrainDecision | None:
        decisions = [d for d in platform.registry.retrains(project) if d.reason == "harm" and d.decided_at >= since]
        return decisions[-1] if decisions else None

    return poll(out, "the retraining governor", ask, GOVERNOR_DEADLINE_SECONDS, "`driftless logs governor`")
