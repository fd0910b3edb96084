"""CloudWatch's embedded metric format: a metric is a log line, so publishing it needs no network call.

Every function writes its metrics here. The code is our own because the prediction path has microseconds to spend; the format
is one JSON object that names its own metrics.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime

from pydantic_core import to_json

from driftless.core.clock import utc_now

NAMESPACE = "Driftless"


def emf_line(metrics: Mapping[str, tuple[float, str]], dimensions: Mapping[str, str], time: datetime) -> str:
    """One line of embedded metrics, without the line break.

    Parameters
    ----------
    metrics : mapping of name to (value, CloudWatch unit)
    dimensions : mapping
        Published with all of them; and once more without ``Version`` where it is among them, as a project's total over
        its versions.
    time : datetime
        Timezone-aware.
    """
    names = [*dimensions]
    sets = [names, [name for name in names if name != "Version"]] if "Version" in names else [names]
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": sets,
        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in metrics.items()],
    }
    meta = {"Timestamp": int(time.timestamp() * 1000), "CloudWatchMetrics": [directive]}
    values = {name: value for name, (value, _) in metrics.items()}
    return to_json({"_aws": meta, **dimensions, **values}, ensure_ascii=True).decode("ascii")


def emit(metrics: Mapping[str, tuple[float, str]], dimensions: Mapping[str, str]) -> None:
    """Write metrics of this moment to the log group; arguments as of :func:`emf_line`."""
    write(emf_line(metrics, dimensions, utc_now()) + "\n")


def write(text: str) -> None:
    """Write lines to the log group and flush: Lambda freezes the process once the response is returned."""
    sys.stdout.write(text)
    sys.stdout.flush()
