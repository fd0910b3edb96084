"""Which versions serve, their predictions, and the labels of these predictions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from driftless.records.common import Record, Scalar


class Endpoint(Record):
    """Which versions serve a project. The registry holds it; S3 ``serving/<project>/endpoint.json`` is its copy.

    ``manifests`` maps a version (as text) to the sha256 of its manifest. ``challenger_weight`` is the share of request
    keys, 0 to 1, that the challenger serves. ``revision`` grows by one with each move.
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
    """The ground truth of one prediction; of several labels of one id the latest ``observed_at`` counts."""

    kind: Literal["label"] = "label"
    id: str
    project: str
    label: Scalar
    observed_at: datetime
    received_at: datetime
