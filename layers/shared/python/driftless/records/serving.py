"""Who serves, what it answered, what turned out to be true, and what monitoring and governor make of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from driftless.records.common import Record, Ref, Scalar


class Endpoint(Record):
    """Who answers requests of a project. The registry holds it; S3 ``serving/<project>/endpoint.json`` is its copy.

    ``manifests`` maps a version (as text) to the sha256 of its manifest. ``challenger_weight`` is the share of request
    keys, 0 to 1, that the challenger answers. ``revision`` grows by one with each move.
    """

    project: str
    revision: int = 0
    champion: int | None = None
    challenger: int | None = None
    challenger_weight: float = 0.0
    previous_champion: int | None = None
    manifests: dict[str, str] = Field(default_factory=dict)
    updated_at: datetime


class Prediction(Record):
    """One prediction, as a line of the prediction log and as a Parquet row (inputs flattened to ``input_<feature>``).

    ``output`` holds ``prediction`` and, for classifiers, ``probabilities`` by class label. ``latency_us`` is the time
    of the whole request in microseconds, divided evenly over its records.
    """

    kind: Literal["prediction"] = "prediction"
    id: str
    request_id: str
    project: str
    time: datetime
    event_time: datetime | None
    version: int
    variant: Literal["champion", "challenger"]
    inputs: dict[str, Scalar]
    output: dict[str, Any]
    latency_us: int


class Label(Record):
    """The truth for one prediction, whenever it arrives; the latest ``observed_at`` of an id counts."""

    kind: Literal["label"] = "label"
    id: str
    project: str
    label: Scalar
    observed_at: datetime
    received_at: datetime


class MonitoringRequest(Record):
    """Judge the window that ends at ``window_end`` (event time, UTC; default: the latest prediction's, now at the latest)."""

    project: str
    window_end: datetime | None = None
    execution_arn: str = ""


class Signal(Record):
    """One judged signal: level 0 ok, 1 warn, 2 alert, with the statistic, the threshold and the reason in words."""

    name: str
    level: Literal[0, 1, 2]
    statistic: str
    value: float | None
    threshold: float | None
    reason: str


class MonitoringRecord(Record):
    """What monitoring found in one window, levels after persistence.

    ``still_raised`` names the levels that are alerts here and were in the report made before: an alarm tells of changes only.
    ``uncollected`` counts predictions of any version that were answered in the last day and are not in the lake.
    """

    project: str
    version: int | None
    window_start: datetime | None
    window_end: datetime | None
    predictions: int
    labels: int
    drift_level: Literal[0, 1, 2]
    harm_level: Literal[0, 1, 2]
    metrics: dict[str, float]
    reference_metrics: dict[str, float]
    signals: list[Signal]
    report: Ref | None
    uncollected: int = 0
    still_raised: list[Literal["harm", "drift"]] = Field(default_factory=list)


class RetrainRequest(Record):
    """Somebody asks for a retraining; the governor decides.

    ``asked_by`` is ``alarm NAME``, ``schedule``, ``monitoring``, or empty for a person.
    """

    project: str
    reason: Literal["schedule", "drift", "harm"]
    event_id: str
    asked_by: str = ""


class RetrainDecision(Record):
    """The governor's answer and its reasons; ``run_id`` names the execution it started, ``asked_by`` who woke the governor."""

    project: str
    reason: str
    retrain: bool
    reasons: list[str]
    run_id: str | None
    decided_at: datetime
    asked_by: str = ""
