"""The prediction log: one raw JSON line per prediction, written before the response is returned.

The lines go to the function's log group. A subscription filter on ``kind`` forwards them to the collector. All lines of a
request and its metrics, in CloudWatch's embedded metric format, are one write to standard output, so a response needs no
network call for logging. Features tagged as personal data are left out of the line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic_core import to_json

from driftless.core.emf import emf_line
from driftless.definition.project import Project


@dataclass(frozen=True)
class LoggedPrediction:
    """One input record and its prediction; ``output`` as in :class:`~driftless.records.Prediction`."""

    id: str
    version: int
    variant: Literal["champion", "challenger"]
    record: dict[str, Any]
    event_time: datetime | None
    output: dict[str, Any]


class PredictionLog:
    """Writes the prediction lines and request metrics of one project.

    Parameters
    ----------
    project : Project
        Its features, and which of them are personal data.
    stage : str
        Deployment stage, a dimension of the metrics.
    write : callable
        Writes text that ends in a line break.
    """

    def __init__(self, project: Project, *, stage: str, write: Callable[[str], object]) -> None:
        self._project, self._stage, self._write = project.name, stage, write
        self._logged = tuple(name for name, feature in project.features.columns.items() if not feature.pii)

    def write_predictions(
        self, request_id: str, time: datetime, latency_us: int, predictions: Sequence[LoggedPrediction]
    ) -> None:
        """Write one line per prediction and the request's metrics.

        Parameters
        ----------
        latency_us : int
            Duration of the request so far in microseconds, divided evenly over its records.
        predictions : sequence of LoggedPrediction
            At least one.
        """
        now, share = time.isoformat(), latency_us // len(predictions)
        lines = []
        counts: dict[int, int] = {}
        for prediction in predictions:
            counts[prediction.version] = counts.get(prediction.version, 0) + 1
            record = prediction.record
            line = {
                "kind": "prediction",
                "id": prediction.id,
                "request_id": request_id,
                "project": self._project,
                "time": now,
                "event_time": prediction.event_time.isoformat() if prediction.event_time else None,
                "version": prediction.version,
                "variant": prediction.variant,
                "inputs": {name: record.get(name) for name in self._logged},
                "output": prediction.output,
                "latency_us": share,
            }
            lines.append(to_json(line, ensure_ascii=True).decode("ascii"))
        for version, count in counts.items():
            metrics = {
                "Predictions": (count, "Count"),
                "PredictionErrors": (0, "Count"),
                "Latency": (latency_us / 1000, "Milliseconds"),
            }
            lines.append(emf_line(metrics, self._dimensions(version), time))
        self._write("\n".join(lines) + "\n")

    def count_failures(self, time: datetime, version: int, count: int) -> None:
        """Publish the number of predictions that a version failed to make, as a metric."""
        metrics = {"PredictionErrors": (count, "Count")}
        self._write(emf_line(metrics, self._dimensions(version), time) + "\n")

    def _dimensions(self, version: int) -> dict[str, str]:
        return {"Stage": self._stage, "Project": self._project, "Version": str(version)}
