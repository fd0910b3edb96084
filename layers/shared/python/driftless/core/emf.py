"""CloudWatch's embedded metric format: a measurement is a log line, so publishing it costs no network call.

Handwritten because the prediction path spends microseconds; the format is one JSON object that names its own metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic_core import to_json

NAMESPACE = "Driftless"


def emf_line(metrics: Mapping[str, tuple[float, str]], dimensions: Mapping[str, str], time: datetime) -> str:
    """One line of embedded metrics, without the line break.

    Parameters
    ----------
    metrics : mapping of name to (value, CloudWatch unit)
    dimensions : mapping
        One dimension set of all these names; the metric also appears without ``Version`` when that is among them, so that
        a project's total outlives its versions.
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
