"""Executions of the state machines: start, follow step by step, read, rerun.

A rerun belongs to the same run: execution ``X`` is started again as ``X.r2``, ``X.r3`` … with the same
input. The state machine takes the run id from the name before the first dot, so a rerun produces the same
model version.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Any

from cli.shared.console import Output, coloured, seconds
from cli.shared.failures import Failure, next_step_for
from cli.shared.history import RUNNING, SUCCEEDED, Execution, events_of, message_of, read_steps
from cli.shared.platform import MACHINES, Platform

POLL_SECONDS = 0.5
FOLLOW_DEADLINE_SECONDS = 3600.0
MAX_ATTEMPTS = 50


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
    raise Failure("arguments", f"there is no execution {name!r}", "list them with `driftless pipelines list`")


def read(platform: Platform, arn: str) -> Execution:
    """An execution with its steps."""
    facts = described(platform, arn)
    if facts is None:
        raise Failure("execution", f"{arn} does not exist", "list executions with `driftless pipelines list`")
    machine = next((m for m in MACHINES if platform.machine(m) == facts["stateMachineArn"]), facts["stateMachineArn"])
    steps = tuple(read_steps(events_of(platform, arn)))
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
        steps,
    )


def follow(platform: Platform, arn: str, out: Output, deadline: float = FOLLOW_DEADLINE_SECONDS) -> Execution:
    """Follow an execution to its end and print each step when it ends.

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
            for index, step in enumerate(execution.steps):
                if step.ended is not None and index not in told:
                    told.add(index)
                    mark = coloured("✗", "bad") if step.error else coloured("✓", "ok")
                    out.say(f"  {mark} {step.name:<22} {seconds(step.seconds):>9}")
            if execution.status != RUNNING:
                return execution
            if time.monotonic() > until:
                raise Failure(
                    execution.name, f"still running after {seconds(deadline)}", f"`driftless pipelines show {execution.name}`"
                )
            current = [step.name for step in execution.steps if step.ended is None]
            spinner.update(f"{current[-1] if current else 'starting'} … {seconds(execution.seconds)}")
            time.sleep(POLL_SECONDS)


def require_success(execution: Execution) -> Execution:
    """Return a succeeded execution.

    Raises
    ------
    Failure
        Naming the failed step, the error and the next step.
    """
    if execution.status == SUCCEEDED:
        return execution
    error = execution.error or execution.status
    where = f"{execution.machine} {execution.name}, step {execution.failed_step or 'unknown'}"
    raise Failure(where, f"{error}: {execution.cause or 'no cause given'}", next_step_for(error, rerun=run_id(execution.name)))


def attempt_of(name: str) -> int:
    """Which attempt of its run an execution is: 1 for ``X``, 3 for ``X.r3``."""
    return int(name.rsplit(".r", 1)[1]) if "." in name else 1


def latest(platform: Platform, machine: str, name: str) -> dict[str, Any] | None:
    """DescribeExecution of a run's latest attempt; None when the run does not exist.

    Earlier attempts failed, were aborted, or were repeated on request.
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
    """A run's latest attempt with its steps.

    Raises
    ------
    Failure
        When the run does not exist.
    """
    found = latest(platform, machine, name)
    return read(platform, found["executionArn"] if found else execution_arn(platform.machine(machine), run_id(name)))


def rerun(platform: Platform, machine: str, name: str, *, anew: bool = False) -> tuple[str, bool]:
    """Start an execution again under the same run; ``(ARN, started)``.

    Nothing is started when the latest attempt is running or has succeeded; its ARN is returned.

    Parameters
    ----------
    anew : bool
        Start another attempt although the latest succeeded.

    Raises
    ------
    Failure
        When the run does not exist, or has too many attempts.
    """
    base, facts = run_id(name), latest(platform, machine, name)
    if facts is None:
        raise Failure("arguments", f"there is no execution {base!r} of {machine}", "list them with `driftless pipelines list`")
    if facts["status"] == RUNNING or (facts["status"] == SUCCEEDED and not anew):
        return str(facts["executionArn"]), False
    attempt = attempt_of(facts["name"]) + 1
    if attempt > MAX_ATTEMPTS:
        raise Failure(base, f"the run has {MAX_ATTEMPTS} attempts, the maximum", "start a new run: `driftless train PROJECT`")
    return start(platform, machine, f"{base}.r{attempt}", json.loads(facts["input"])), True


def recent(
    platform: Platform, machine: str, keep: Callable[[dict[str, Any]], bool], limit: int, since: datetime | None = None
) -> list[dict[str, Any]]:
    """Summaries of a machine's latest executions for which ``keep`` holds, newest first; none that started before ``since``."""
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
