"""What Step Functions recorded of one execution: its steps, how long each took, and what failed.

Only states that do work are steps. A step that failed and succeeded on a retry did not fail.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cli.shared.platform import Platform

RUNNING = "RUNNING"
SUCCEEDED = "SUCCEEDED"
FAILURE_PATH = ("RollBack", "NotifyFailure")
# Choice, Pass, Succeed and Fail do no work: they are not steps.
STEP_TYPES = ("Task", "Map", "Parallel", "Wait")


@dataclass(frozen=True)
class StepRun:
    """One state of an execution; a Map's iterations count as one step each time they are entered."""

    name: str
    started: datetime
    ended: datetime | None
    error: str | None = None
    cause: str | None = None

    @property
    def seconds(self) -> float | None:
        return (self.ended - self.started).total_seconds() if self.ended else None


@dataclass(frozen=True)
class Execution:
    """An execution as DescribeExecution and its history describe it."""

    machine: str
    name: str
    arn: str
    status: str
    started: datetime
    ended: datetime | None
    input: dict[str, Any]
    output: dict[str, Any] | None
    error: str | None
    cause: str | None
    steps: tuple[StepRun, ...]

    @property
    def seconds(self) -> float:
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()

    @property
    def failed_step(self) -> str | None:
        """The step whose failure led to the failure path."""
        if self.status in (RUNNING, SUCCEEDED):
            return None
        last = None
        for step in self.steps:
            if step.name in FAILURE_PATH:
                return last
            last = step.name
        return last

    def document(self) -> dict[str, Any]:
        """The JSON document of the execution."""
        return {
            "machine": self.machine,
            "name": self.name,
            "arn": self.arn,
            "status": self.status,
            "started": self.started,
            "ended": self.ended,
            "seconds": round(self.seconds, 3),
            "input": self.input,
            "output": self.output,
            "error": self.error,
            "cause": self.cause,
            "failed_step": self.failed_step,
            "steps": [
                {"name": s.name, "started": s.started, "seconds": s.seconds, "error": s.error, "cause": s.cause}
                for s in self.steps
            ],
        }


def events_of(platform: Platform, arn: str) -> list[dict[str, Any]]:
    """All events of an execution, oldest first."""
    pages = platform.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=arn)
    return [event for page in pages for event in page["events"]]


def message_of(cause: str | None) -> str | None:
    """The message inside a Lambda cause document, or the cause as it is."""
    if not cause:
        return cause
    try:
        document = json.loads(cause)
    except json.JSONDecodeError:
        return cause
    return str(document.get("errorMessage", cause)) if isinstance(document, dict) else cause


def read_steps(events: Iterable[dict[str, Any]]) -> Iterator[StepRun]:
    """Steps in the order they were entered, from an execution's history."""
    events = list(events)
    open_steps: list[dict[str, Any]] = []
    for event in events:
        kind, when = event["type"], event["timestamp"]
        if kind.endswith("StateEntered") and kind.startswith(STEP_TYPES):
            name = event["stateEnteredEventDetails"]["name"]
            open_steps.append({"name": name, "started": when, "ended": None, "error": None, "cause": None})
        elif kind.endswith("StateExited"):
            name = event["stateExitedEventDetails"]["name"]
            step = next((s for s in open_steps if s["name"] == name and s["ended"] is None), None)
            if step:
                step["ended"] = when
        elif kind.endswith(("Failed", "TimedOut")) and kind != "ExecutionFailed" and open_steps:
            details: dict[str, Any] = next((v for k, v in event.items() if k.endswith("EventDetails")), {})
            unfinished = [step for step in open_steps if step["ended"] is None]
            if unfinished and not unfinished[-1]["error"]:
                unfinished[-1].update(error=details.get("error") or kind, cause=message_of(details.get("cause")))
    # A task that succeeded on a retry was exited: the step did not fail.
    for step in open_steps:
        if step["ended"] is not None and step["error"] and not _caught(events, step["name"]):
            step["error"] = step["cause"] = None
        yield StepRun(**step)


def _caught(events: Iterable[dict[str, Any]], name: str) -> bool:
    """Whether the last event inside a state before its exit was a failure, which a Catch handled."""
    inside, last = False, ""
    for event in events:
        if event["type"].endswith("StateEntered") and event["stateEnteredEventDetails"]["name"] == name:
            inside, last = True, ""
        elif event["type"].endswith("StateExited") and event["stateExitedEventDetails"]["name"] == name:
            return last.endswith(("Failed", "TimedOut"))
        elif inside:
            last = event["type"]
    return last.endswith(("Failed", "TimedOut"))
