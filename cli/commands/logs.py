"""``driftless logs``: log events of the functions, one per line."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cli.shared.console import JsonOption, Output, StageOption, coloured
from cli.shared.failures import Failure
from cli.shared.platform import Platform, connect
from driftless.core.layout.parameters import FUNCTIONS, function_parameter

POLL_SECONDS = 1.0
LONGEST_POLL_SECONDS = 5.0
LONGEST_SPAN = timedelta(days=3650)
# CloudWatch may deliver an event up to this long (ms) after later ones; it is then still shown, once.
LATE_MS = 120_000
_SPAN = re.compile(r"^(\d+)([smhd])$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_HEALTH = {"ERROR": "bad", "CRITICAL": "bad", "WARNING": "warn", "DEBUG": "idle"}


def logs(
    function: Annotated[str | None, typer.Argument(help="Function: its folder name under lambdas/. Default: all.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new lines until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option("--since", help="How far back: 30s, 15m, 2h or 1d.")] = "15m",
    stage: StageOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Show log lines of one function or of all, oldest first.

    Example: [bold]driftless logs inference --since 1h --follow[/bold]
    """
    out = Output(as_json)
    start = datetime.now(UTC) - span(since)
    platform = connect(stage)
    groups = log_groups(platform, function)
    position = {group: int(start.timestamp() * 1000) for group in groups.values()}
    seen: dict[tuple[str, str], int] = {}
    pause = POLL_SECONDS
    while True:
        lines = sorted(read(platform, groups, position, seen), key=lambda line: line["timestamp"])
        for line in lines:
            _print(out, line)
        if not follow:
            return
        pause = POLL_SECONDS if lines else min(pause * 1.5, LONGEST_POLL_SECONDS)
        time.sleep(pause)


def span(text: str) -> timedelta:
    """A duration such as ``15m``.

    Raises
    ------
    Failure
        When the text is not a duration, or exceeds ten years.
    """
    found = _SPAN.match(text)
    if not found:
        raise Failure("arguments", f"--since {text!r} is not a duration", "write 30s, 15m, 2h or 1d")
    # Compare numbers: a timedelta cannot hold a million years.
    if int(found[1]) > LONGEST_SPAN / timedelta(**{_UNITS[found[2]]: 1}):
        raise Failure("arguments", f"--since {text!r} is longer than {LONGEST_SPAN.days} days", "use a shorter duration")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def log_groups(platform: Platform, function: str | None) -> dict[str, str]:
    """Log group of one function or of all, by folder name.

    Raises
    ------
    Failure
        When there is no such function.
    """
    published = {name.removeprefix(FUNCTIONS): arn for name, arn in platform.parameters.items() if name.startswith(FUNCTIONS)}
    if not published:
        platform.parameter(function_parameter("inference"))
    if function is not None and function not in published:
        raise Failure("arguments", f"there is no function {function!r}", f"choose one of {', '.join(sorted(published))}")
    chosen = {function: published[function]} if function else published
    client = platform.client("lambda")
    groups = {}
    for name, arn in chosen.items():
        # The function's ARN without its alias, which LocalStack does not accept here.
        facts = client.get_function_configuration(FunctionName=":".join(arn.split(":")[:7]))
        groups[name] = facts.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{facts['FunctionName']}"
    return groups


def read(
    platform: Platform, groups: dict[str, str], position: dict[str, int], seen: dict[tuple[str, str], int]
) -> Iterator[dict[str, Any]]:
    """New events of each group.

    Parameters
    ----------
    position : dict
        By group, the time (ms since 1970) to read from. It stays behind the newest event, so that late events are found.
    seen : dict
        Times of events already shown that may be returned again, by group and event.
    """
    client = platform.client("logs")
    for name, group in groups.items():
        try:
            pages = list(client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=position[group]))
        except client.exceptions.ResourceNotFoundException:
            continue
        newest = position[group] + LATE_MS
        for event in (event for page in pages for event in page["events"]):
            identity = group, event.get("eventId") or f"{event['logStreamName']}{event['timestamp']}{event['message']}"
            if identity in seen:
                continue
            seen[identity] = event["timestamp"]
            newest = max(newest, event["timestamp"])
            yield {"function": name, "timestamp": event["timestamp"], "message": event["message"].rstrip("\n")}
        position[group] = newest - LATE_MS
    for identity in [identity for identity, when in seen.items() if when < position[identity[0]]]:
        del seen[identity]


def _print(out: Output, line: dict[str, Any]) -> None:
    if out.as_json:
        out.line(line)
        return
    when = datetime.fromtimestamp(line["timestamp"] / 1000, UTC)
    level, message = readable(line["message"])
    out.console.print(
        f"[dim]{when:%H:%M:%S}[/dim] {line['function']:<13} {coloured(message, _HEALTH.get(level, ''))}",
        soft_wrap=True,
        highlight=False,
    )


def readable(message: str) -> tuple[str, str]:
    """Level and text of a line; Powertools' JSON is shortened to its message, error included."""
    try:
        document = json.loads(message)
    except json.JSONDecodeError:
        return "", message
    if not isinstance(document, dict) or "message" not in document:
        return "", message
    error = f" {document['exception_name']}" if document.get("exception_name") else ""
    return str(document.get("level", "")), f"{document.get('level', '')}{error} {document['message']}".strip()
