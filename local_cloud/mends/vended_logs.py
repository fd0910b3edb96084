"""Log lines that a service writes by itself into a log group that its configuration names.

Restores what "Enable logging from AWS services" says of CloudWatch Logs as a destination: the line arrives as an event
of a stream that the service names; where the group does not exist (any more) nothing is written and the service goes on.
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
        A log group's ARN, with or without ``:*`` behind it; other destinations are not written to.
    stream : str
        The stream's name.
    timestamp : int
        Milliseconds since 1970.
    message : str
        The line.
    """
    parts = destination_arn.split(":", 6)
    if len(parts) < 7 or parts[2] != "logs":
        return
    region, account, group = parts[3], parts[4], parts[6].removesuffix(":*")
    with core("responses").request_scope(account, region), contextlib.suppress(KeyError):
        report.append(group, stream, [LogEvent(timestamp, message)])
