"""Write the platform's log lines of an invocation, and all other lines, to CloudWatch Logs.

``START``, the function's lines, ``END`` and ``REPORT`` are written to the function's log group before the caller gets
the response, in one log stream per execution environment.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from local_cloud import emulator
from local_cloud.runner.environment import log_group
from local_cloud.runner.output import LogEvent
from local_cloud.runner.sandbox import Outcome, Sandbox


def compose(config: Mapping[str, Any], sandbox: Sandbox, outcome: Outcome, request_id: str, began_ms: int) -> list[LogEvent]:
    """Return the lines of one invocation in order, with their times in milliseconds."""
    now = int(time.time() * 1000)
    events = [LogEvent(began_ms, f"START RequestId: {request_id} Version: {config.get('Version', '$LATEST')}")]
    events += outcome.events
    if outcome.status == "timeout":
        moment = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{now % 1000:03d}Z"
        events.append(LogEvent(now, f"{moment} {request_id} Task timed out after {sandbox.timeout:.2f} seconds"))
    if outcome.status == "error":
        events.append(LogEvent(now, _platform_error(outcome)))
    events.append(LogEvent(now, f"END RequestId: {request_id}"))
    events.append(LogEvent(now, _report_line(sandbox, outcome, request_id)))
    return events


def _platform_error(outcome: Outcome) -> str:
    """Return the platform's line for a process that ended: the message, then the error's name."""
    record = json.loads(outcome.response)
    return f"{record['errorMessage']}\n{record['errorType']}"


def _report_line(sandbox: Sandbox, outcome: Outcome, request_id: str) -> str:
    init = outcome.init_ms or 0.0
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {outcome.duration_ms:.2f} ms",
        f"Billed Duration: {max(1, math.ceil(outcome.duration_ms + init))} ms",
        f"Memory Size: {sandbox.memory_mb} MB",
        f"Max Memory Used: {outcome.peak_mb} MB",
    ]
    if outcome.init_ms is not None:
        fields.append(f"Init Duration: {outcome.init_ms:.2f} ms")
    if outcome.status is not None:
        fields.append(f"Status: {outcome.status}")
    return "\t".join(fields)


def write(config: Mapping[str, Any], stream_name: str, events: list[LogEvent]) -> None:
    """Append the lines to the function's log group, which is created if needed."""
    logs = emulator.module("services.cloudwatch_logs")
    group_name = log_group(config)
    if group_name not in logs._log_groups:
        logs._log_groups[group_name] = {
            "arn": logs._make_group_arn(group_name),
            "creationTime": int(time.time() * 1000),
            "retentionInDays": None,
            "tags": {},
            "subscriptionFilters": {},
            "streams": {},
        }
    append(group_name, stream_name, events)


def append(group_name: str, stream_name: str, events: list[LogEvent]) -> None:
    """Append lines to a stream of an existing log group and pass them to the group's subscription filters.

    Raises
    ------
    KeyError
        If there is no such group in the account and region of the current request.
    """
    logs = emulator.module("services.cloudwatch_logs")
    now = int(time.time() * 1000)
    stream = logs._log_groups[group_name]["streams"].setdefault(
        stream_name,
        {
            "events": [],
            "uploadSequenceToken": "1",
            "creationTime": now,
            "firstEventTimestamp": None,
            "lastEventTimestamp": None,
            "lastIngestionTime": None,
        },
    )
    lines = [{"timestamp": event.timestamp, "message": event.message} for event in events]
    logs._append_log_events(stream, [{**line, "ingestionTime": now} for line in lines])
    logs._fanout_to_subscription_filters(group_name, stream_name, lines)
