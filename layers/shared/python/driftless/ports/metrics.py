"""The operator's metric system."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class MetricSink(Protocol):
    """Publishes measurements."""

    def publish(self, metrics: dict[str, float], dimensions: dict[str, str]) -> None:
        """Publish values by metric name, all with the same dimensions."""


class MetricReader(Protocol):
    """Reads published measurements."""

    def minutes(self, name: str, dimensions: dict[str, str], since: datetime, until: datetime) -> dict[datetime, float]:
        """Sum of a metric over each minute (UTC) of an interval in which anything was published."""
