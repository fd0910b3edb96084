"""Remove what AWS removes after a retention period, so that a cloud does not grow without bound.

MiniStack keeps everything in memory and in every snapshot. Removed are log events past their group's retention ("Working
with log groups and log streams"), executions that ended 90 days ago ("Step Functions service quotas"), and old events of
stacks: AWS keeps them for 90 days, this cloud keeps a fixed number that is large enough for deployments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

from local_cloud import emulator

#: Events kept for one stack: about five deployments of a stack with a hundred resources.
STACK_EVENTS = 2_000
EXECUTION_DAYS = 90


def install() -> None:
    """Remove expired entries before each snapshot."""
    logs = emulator.module("services.cloudwatch_logs")
    machines = emulator.module("services.stepfunctions")
    stacks = emulator.module("services.cloudformation")
    for owner, name in ((logs, "_log_groups"), (machines, "_executions"), (stacks, "_stack_events")):
        emulator.original(owner, name)
    _before_state(logs, lambda: remove_log_events(list(logs._log_groups._data.values()), datetime.now(UTC)))
    _before_state(machines, lambda: remove_executions(machines._executions._data, datetime.now(UTC)))
    _before_state(stacks, lambda: shorten(list(stacks._stack_events._data.values())))


def remove_log_events(groups: Iterable[dict[str, Any]], now: datetime) -> None:
    """Remove events older than their group's retention, and streams that become empty."""
    for group in groups:
        if not group.get("retentionInDays"):
            continue
        oldest = (now - timedelta(days=group["retentionInDays"])).timestamp() * 1000
        for name, stream in list(group["streams"].items()):
            events = stream["events"]  # ordered by time
            expired = next((index for index, event in enumerate(events) if event["timestamp"] >= oldest), len(events))
            del events[:expired]
            if expired and not events:
                del group["streams"][name]


def remove_executions(executions: dict[Any, dict[str, Any]], now: datetime) -> None:
    """Remove executions that ended more than ``EXECUTION_DAYS`` ago."""
    oldest = now - timedelta(days=EXECUTION_DAYS)
    for key, execution in list(executions.items()):
        ended = execution.get("stopDate")
        if ended and datetime.fromisoformat(ended) < oldest:
            del executions[key]


def shorten(histories: Iterable[list[Any]]) -> None:
    """Keep the latest ``STACK_EVENTS`` events of each stack."""
    for events in histories:
        del events[:-STACK_EVENTS]


def _before_state(service: ModuleType, remove: Callable[[], None]) -> None:
    get_state = emulator.original(service, "get_state")

    def state() -> Any:
        remove()
        return get_state()

    emulator.replace(service, "get_state", state)
