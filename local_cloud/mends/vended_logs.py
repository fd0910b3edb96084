"""Vended logs: events that a service writes to the log group of its configuration.

Restores "Enable logging from AWS services" for CloudWatch Logs as the destination: each line is an event in a stream
that the service chooses. If the group does not exist, nothing is written and the service continues.
"""

from __future__ import annotations

import contextlib

from local_cloud.mends.patching import core
from local_cloud.runner import report
from local_cloud.runner.output import LogEvent


def write(destination_arn: str, stream: str, timestamp: int, message: str) -> None:
    """Append one event.

    Parameters
    ----------
    destination_arn : str
        A log group's ARN, with or without ``:*`` at the end; other destinations are ignored.
    stream : str
        Name of the log stream.
    timestamp : int
        Milliseconds since 1970.
    message : str
        The log line.
    """
    parts = destination_arn.split(":", 6)
    if len(parts) < 7 or parts[2] != "logs":
        return
    region, account, group = parts[3], parts[4], parts[6].removesuffix(":*")
    with core("responses").request_scope(account, region), contextlib.suppress(KeyError):
        report.append(group, stream, [LogEvent(timestamp, message)])
