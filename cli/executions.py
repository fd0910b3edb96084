"""Executions of the state machines: start, follow stage by stage, read what failed and why, start again.

A rerun keeps the run: execution ``X`` is started again as ``X.r2``, ``X.r3`` … with the same input, and the state machine takes
the run id from the part of the name before the first dot. So a rerun ends in the same state and the same model version.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from cli.console import Output, coloured, seconds
from cli.failures import Failure, next_step_for
from cli.platform import MACHINES, Platform

POLL_SECONDS = 0.5
FOLLOW_DEADLINE_SECONDS = 3600.0
RUNNING = "RUNNING"
SUCCEEDED = "SUCCEEDED"
MAX_ATTEMPTS = 50
FAILURE_PATH = ("RollBack", "NotifyFailure")
# Choice, Pass, Succeed and Fail take no time and do no work: they are no stages.
STAGE_TYPES = ("Task", "Map", "Parallel", "Wait")


@dataclass(frozen=True)
class StageRun:
    """One state of an execution; a Map's iterations count as one stage each time they are entered."""

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
    """What DescribeExecution and the history say, put together."""

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
    stages: tuple[StageRun, ...]

    @property
    def seconds(self) -> float:
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()

    @property
    def failed_stage(self) -> str | None:
        """The stage whose failure sent the execution down its failure path."""
        if self.status in (RUNNING, SUCCEEDED):
            return None
        last = None
        for stage in self.stages:
            if stage.name in FAILURE_PATH:
                return last
            last = stage.name
        return last

    def document(self) -> dict[str, Any]:
        """The machine-readable form."""
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
            "failed_stage": self.failed_stage,
            "stages": [
                {"name": s.name, "started": s.started, "seconds": s.seconds, "error": s.error, "cause": s.cause}
                for s in self.stages
            ],
        }


def run_id(name: str) -> str:
    """The run that an execution belongs to: its name up to the first dot."""
    return name.split(".", 1)[0]


def execution_arn(machine_arn: str, name: str) -> str:
    """ARN of an execution of a machine."""
    return f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"


def start(platform: Platform, machine: str, name: str, payload: dict[str, Any]) -> str:
    """Start an execution, or find the one of that name, in its latest attempt; its ARN.

    Raises
    ------
    Failure
        When the name belongs to another project.
    """
    client, machine_arn = platform.client("stepfunctions"), platform.machine(machine)
    try:
        answer = client.start_execution(stateMachineArn=machine_arn, name=name, input=json.dumps(payload))
    except client.exceptions.ExecutionAlreadyExists:
        there = latest(platform, machine, name) or {"executionArn": execution_arn(machine_arn, name)}
        owner = json.loads(there.get("input") or "{}").get("project")
        if owner is not None and owner != payload.get("project"):
            raise Failure("arguments", f"{name} is a run of project {owner}", "choose another --name") from None
        return str(there["executionArn"])
    return str(answer["executionArn"])


def described(platform: Platform, arn: str) -> dict[str, Any] | None:
    """DescribeExecution, None when there is no such execution."""
    client = platform.client("stepfunctions")
    try:
        return dict(client.describe_execution(executionArn=arn))
    except client.exceptions.ExecutionDoesNotExist:
        return None


def find(platform: Platform, name: str) -> tuple[str, str]:
    """Machine and ARN of the execution called ``name`` in any of the machines.

    Raises
    ------
    Failure
        When there is none.
    """
    for machine in MACHINES:
        arn = execution_arn(platform.machine(machine), name)
        if described(platform, arn) is not None:
            return machine, arn
    raise Failure("arguments", f"there is no execution {name!r}", "`driftless pipelines list` names them")


def read(platform: Platform, arn: str) -> Execution:
    """An execution with its stages."""
    facts = described(platform, arn)
    if facts is None:
        raise Failure("execution", f"{arn} does not exist", "`driftless pipelines list` names the executions there are")
    machine = next((m for m in MACHINES if platform.machine(m) == facts["stateMachineArn"]), facts["stateMachineArn"])
    events = history(platform, arn)
    stages = tuple(read_stages(events))
    error, cause = facts.get("error"), facts.get("cause")
    return Execution(
        machine,
        facts["name"],
        arn,
        facts["status"],
        facts["startDate"],
        facts.get("stopDate"),
        json.loads(facts.get("input") or "{}"),
        json.loads(facts["output"]) if facts.get("output") else None,
        error,
        message_of(cause),
        stages,
    )


def history(platform: Platform, arn: str) -> list[dict[str, Any]]:
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


def read_stages(events: Iterable[dict[str, Any]]) -> Iterator[StageRun]:
    """Stages in the order they were entered, from an execution's history."""
    events = list(events)
    open_stages: list[dict[str, Any]] = []
    for event in events:
        kind, when = event["type"], event["timestamp"]
        if kind.endswith("StateEntered") and kind.startswith(STAGE_TYPES):
            name = event["stateEnteredEventDetails"]["name"]
            open_stages.append({"name": name, "started": when, "ended": None, "error": None, "cause": None})
        elif kind.endswith("StateExited"):
            name = event["stateExitedEventDetails"]["name"]
            stage = next((s for s in open_stages if s["name"] == name and s["ended"] is None), None)
            if stage:
                stage["ended"] = when
        elif kind.endswith(("Failed", "TimedOut")) and kind != "ExecutionFailed" and open_stages:
            details: dict[str, Any] = next((v for k, v in event.items() if k.endswith("EventDetails")), {})
            unfinished = [stage for stage in open_stages if stage["ended"] is None]
            if unfinished and not unfinished[-1]["error"]:
                unfinished[-1].update(error=details.get("error") or kind, cause=message_of(details.get("cause")))
    # A task that failed and was retried with success was exited in the end: that is no failure of the stage.
    for stage in open_stages:
        if stage["ended"] is not None and stage["error"] and not _caught(events, stage["name"]):
            stage["error"] = stage["cause"] = None
        yield StageRun(**stage)


def _caught(events: Iterable[dict[str, Any]], name: str) -> bool:
    """Whether the last thing that happened inside a state before it was exited was a failure (so a Catch took it)."""
    inside, last = False, ""
    for event in events:
        if event["type"].endswith("StateEntered") and event["stateEnteredEventDetails"]["name"] == name:
            inside, last = True, ""
        elif event["type"].endswith("StateExited") and event["stateExitedEventDetails"]["name"] == name:
            return last.endswith(("Failed", "TimedOut"))
        elif inside:
            last = event["type"]
    return last.endswith(("Failed", "TimedOut"))


def follow(platform: Platform, arn: str, out: Output, deadline: float = FOLLOW_DEADLINE_SECONDS) -> Execution:
    """Watch an execution to its end, saying each stage as it ends.

    Raises
    ------
    Failure
        When it is still running at the deadline (seconds).
    """
    told: set[int] = set()
    until = time.monotonic() + deadline
    with out.progress.status("starting") as spinner:
        while True:
            execution = read(platform, arn)
            for index, stage in enumerate(execution.stages):
                if stage.ended is not None and index not in told:
                    told.add(index)
                    mark = coloured("✗", "bad") if stage.error else coloured("✓", "ok")
                    out.say(f"  {mark} {stage.name:<22} {seconds(stage.seconds):>9}")
            if execution.status != RUNNING:
                return execution
            if time.monotonic() > until:
                raise Failure(
                    execution.name, f"still running after {seconds(deadline)}", f"`driftless pipelines show {execution.name}`"
                )
            current = [stage.name for stage in execution.stages if stage.ended is None]
            spinner.update(f"{current[-1] if current else 'starting'} … {seconds(execution.seconds)}")
            time.sleep(POLL_SECONDS)


def require_success(execution: Execution) -> Execution:
    """Pass a succeeded execution on.

    Raises
    ------
    Failure
        Naming the failed stage, the error and the next step.
    """
    if execution.status == SUCCEEDED:
        return execution
    error = execution.error or execution.status
    where = f"{execution.machine} {execution.name}, stage {execution.failed_stage or 'unknown'}"
    raise Failure(where, f"{error}: {execution.cause or 'no cause given'}", next_step_for(error, rerun=run_id(execution.name)))


def attempt_of(name: str) -> int:
    """Which attempt of its run an execution is: 1 for ``X``, 3 for ``X.r3``."""
    return int(name.rsplit(".r", 1)[1]) if "." in name else 1


def latest(platform: Platform, machine: str, name: str) -> dict[str, Any] | None:
    """DescribeExecution of a run's latest attempt, the one that counts; None when the run never began.

    An earlier attempt was aborted, has failed, or judged what the latest judges anew.
    """
    base, machine_arn = run_id(name), platform.machine(machine)
    found = described(platform, execution_arn(machine_arn, base))
    if found is None:
        return None
    for attempt in count(2):
        later = described(platform, execution_arn(machine_arn, f"{base}.r{attempt}"))
        if later is None:
            break
        found = later
    return found


def read_latest(platform: Platform, machine: str, name: str) -> Execution:
    """A run's latest attempt with its stages.

    Raises
    ------
    Failure
        When the run never began.
    """
    found = latest(platform, machine, name)
    return read(platform, found["executionArn"] if found else execution_arn(platform.machine(machine), run_id(name)))


def rerun(platform: Platform, machine: str, name: str, *, anew: bool = False) -> tuple[str, bool]:
    """Start an execution again under the same run; ``(ARN, started)``.

    Answers the latest attempt itself, not started, when it runs or has succeeded.

    Parameters
    ----------
    anew : bool
        Start also what has succeeded.

    Raises
    ------
    Failure
        When the run never began, or was started too often.
    """
    base, facts = run_id(name), latest(platform, machine, name)
    if facts is None:
        raise Failure("arguments", f"there is no execution {base!r} of {machine}", "`driftless pipelines list` names them")
    if facts["status"] == RUNNING or (facts["status"] == SUCCEEDED and not anew):
        return str(facts["executionArn"]), False
    attempt = attempt_of(facts["name"]) + 1
    if attempt > MAX_ATTEMPTS:
        raise Failure(base, f"{MAX_ATTEMPTS} attempts already", "start a new run: `driftless train PROJECT`")
    return start(platform, machine, f"{base}.r{attempt}", json.loads(facts["input"])), True


def recent(
    platform: Platform, machine: str, keep: Callable[[dict[str, Any]], bool], limit: int, since: datetime | None = None
) -> list[dict[str, Any]]:
    """Summaries of a machine's latest executions for which ``keep`` holds, newest first; none that began before ``since``."""
    pages = platform.client("stepfunctions").get_paginator("list_executions")
    found: list[dict[str, Any]] = []
    for page in pages.paginate(stateMachineArn=platform.machine(machine)):
        for summary in page["executions"]:
            if since is not None and summary["startDate"] < since:
                return found
            if keep(summary):
                found.append(dict(summary))
            if len(found) >= limit:
                return found
    return found
