"""Embedded Metric Format: publish the CloudWatch metrics of JSON log lines that have ``_aws``.

Restores the behaviour of the AWS documentation page "Specification: Embedded metric format". Without this mend the
emulator stores such lines only as text, and the metrics that a function emits with Powertools do not exist.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

from local_cloud.mends.patching import replace, require, service

logger = logging.getLogger("local_cloud.emf")

TARGETS = (
    "ministack.services.cloudwatch_logs._append_log_events",
    "ministack.services.cloudwatch._store_datum",
)

MAX_DIMENSIONS = 30
MAX_VALUES = 100


class InvalidEmbeddedMetrics(ValueError):
    """The line has an ``_aws`` member that violates the specification."""


def extract(message: str) -> list[tuple[str, str, dict[str, str], float, str, list[float]]]:
    """Return the metrics in one log line.

    Parameters
    ----------
    message : str
        The line as logged.

    Returns
    -------
    list of (namespace, name, dimensions, timestamp in seconds, unit, values)
        One entry for each metric and dimension set; empty when the line is not an embedded metric document.

    Raises
    ------
    InvalidEmbeddedMetrics
        When it is one and violates the specification; AWS extracts nothing from such a line.
    """
    # A cheap check first, because this runs for every log line.
    if '"_aws"' not in message:
        return []
    try:
        document = json.loads(message)
    except ValueError:
        return []
    metadata = document.get("_aws") if isinstance(document, dict) else None
    if not isinstance(metadata, dict) or "CloudWatchMetrics" not in metadata:
        return []
    try:
        timestamp = float(metadata["Timestamp"]) / 1000.0
        found = []
        for directive in metadata["CloudWatchMetrics"]:
            for keys in directive["Dimensions"]:
                dimensions = _dimensions(document, keys)
                for metric in directive["Metrics"]:
                    values = _values(document, metric["Name"])
                    if values:
                        unit = metric.get("Unit", "None")
                        found.append((directive["Namespace"], metric["Name"], dimensions, timestamp, unit, values))
    except InvalidEmbeddedMetrics:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise InvalidEmbeddedMetrics(f"malformed directive: {error!r}") from error
    return found


def _dimensions(document: dict[str, Any], keys: list[str]) -> dict[str, str]:
    if len(keys) > MAX_DIMENSIONS:
        raise InvalidEmbeddedMetrics(f"more than {MAX_DIMENSIONS} dimensions")
    for key in keys:
        if not isinstance(document.get(key), str):
            raise InvalidEmbeddedMetrics(f"dimension {key!r} is not a string in the document")
    return {key: document[key] for key in keys}


def _values(document: dict[str, Any], name: str) -> list[float]:
    """Return the values of one metric; empty when the document does not have the metric of the directive."""
    if name not in document:
        return []
    values = document[name] if isinstance(document[name], list) else [document[name]]
    if len(values) > MAX_VALUES:
        raise InvalidEmbeddedMetrics(f"more than {MAX_VALUES} values in {name!r}")
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in values):
        raise InvalidEmbeddedMetrics(f"{name!r} is not a number")
    return [float(value) for value in values]


def _publish(events: Iterable[dict[str, Any]]) -> None:
    store = service("cloudwatch")._store_datum
    for event in events:
        try:
            for namespace, name, dimensions, timestamp, unit, values in extract(str(event.get("message", ""))):
                store(namespace, name, dimensions, timestamp, unit, None, values, None, None)
        except InvalidEmbeddedMetrics as error:
            logger.warning("embedded metrics ignored: %s", error)


def _append(original: Callable[..., Any]) -> Callable[..., Any]:
    def append_log_events(stream: dict[str, Any], events: list[dict[str, Any]]) -> Any:
        response = original(stream, events)
        _publish(events)
        return response

    return append_log_events


def apply() -> None:
    """Publish the metrics of each stored log line."""
    require(TARGETS)
    replace(TARGETS[0], _append(service("cloudwatch_logs")._append_log_events))
