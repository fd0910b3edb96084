"""What monitoring finds in a window of predictions, and what the governor decides about a retraining."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from driftless.records.common import Record, Ref, Stamp, Stored

Level = Literal[0, 1, 2]
"""0 ok, 1 warning, 2 alert."""
Trigger = Literal["harm", "drift"]


class MonitoringRequest(Record):
    """Judge the window that ends at ``window_end`` (event time, UTC; default: the latest prediction's, now at the latest)."""

    project: str
    window_end: datetime | None = None
    execution_arn: str = ""


class Signal(Stored):
    """One judged signal: its level, with the statistic, the threshold and the reason in words."""

    name: str
    level: Level
    statistic: str
    value: float | None
    threshold: float | None
    reason: str


class MonitoringRecord(Record):
    """Monitoring's result for one window, with levels after persistence.

    ``still_raised`` names the levels that are alerts here and were alerts in the report made before: alarms report changes only.
    ``uncollected`` counts predictions of the last day, of any version, that are not in the lake.
    """

    project: str
    version: int | None
    window_start: datetime | None
    window_end: datetime | None
    predictions: int
    labels: int
    drift_level: Level
    harm_level: Level
    metrics: dict[str, float]
    reference_metrics: dict[str, float]
    signals: list[Signal]
    report: Ref | None
    uncollected: int = 0
    still_raised: list[Trigger] = Field(default_factory=list)


class WindowFacts(Stored):
    """What the registry keeps of one window.

    ``drift_level`` and ``harm_level`` are the levels after persistence, ``window_drift_level`` and ``window_harm_level`` those
    of this window alone. ``raised`` holds the signals above level 0. ``labels_by_day`` counts the labelled predictions of each
    UTC day (ISO text) that any window so far covered. A metric without a value is None.
    """

    version: int | None = None
    window_start: datetime | None = None
    predictions: int = 0
    labels: int = 0
    drift_level: Level = 0
    harm_level: Level = 0
    window_drift_level: Level = 0
    window_harm_level: Level = 0
    metrics: Mapping[str, float | None] = Field(default_factory=dict)
    reference_metrics: Mapping[str, float | None] = Field(default_factory=dict)
    report: Ref | None = None
    uncollected: int = 0
    still_raised: list[Trigger] = Field(default_factory=list)
    labels_by_day: dict[str, int] = Field(default_factory=dict)
    raised: list[Signal] = Field(default_factory=list)

    def level(self, trigger: str) -> Level:
        """The level of harm or drift after persistence; 0 for any other reason of a retraining."""
        return {"harm": self.harm_level, "drift": self.drift_level}.get(trigger, 0)


class WindowReport(WindowFacts):
    """The registry's report of one window, and when it was recorded."""

    project: str
    window_end: Stamp
    recorded_at: Stamp


class RetrainRequest(Record):
    """A request for a retraining; the governor decides about it.

    ``event_id`` is the same at every delivery of one event. ``asked_by`` names the sender: ``alarm NAME``, ``schedule``,
    ``monitoring``, or empty for a person.
    """

    project: str
    reason: Literal["schedule", "drift", "harm"]
    event_id: str
    asked_by: str = ""


class RetrainDecision(Record):
    """Whether a project is retrained, and why; ``run_id`` names the execution, ``asked_by`` the sender of the request."""

    project: str
    reason: str
    retrain: bool
    reasons: list[str]
    run_id: str | None
    decided_at: datetime
    asked_by: str = ""
