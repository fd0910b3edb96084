"""The journal: one raw JSON line for each prediction, written before the answer leaves.

The log group is the journal; a subscription filter on ``kind`` hands the lines to the collector. All lines of a request, and its
metrics in CloudWatch's embedded format, go out in one write to standard output: no network call stands before an answer.
Features marked as personal data stay out of the line.
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
class Answered:
    """One record and what a model said about it; ``output`` as in :class:`~driftless.records.Prediction`."""

    id: str
    version: int
    variant: Literal["champion", "challenger"]
    record: dict[str, Any]
    event_time: datetime | None
    output: dict[str, Any]


class Journal:
    """Writes prediction lines and request metrics of one project.

    Parameters
    ----------
    project : Project
        Names the features, and which of them are personal data.
    stage : str
        Deployment stage, a dimension of the metrics.
    write : callable
        Takes text that ends in a line break.
    """

    def __init__(self, project: Project, *, stage: str, write: Callable[[str], object]) -> None:
        self._project, self._stage, self._write = project.name, stage, write
        self._logged = tuple(name for name, feature in project.features.columns.items() if not feature.pii)

    def answered(self, request_id: str, time: datetime, latency_us: int, answers: Sequence[Answered]) -> None:
        """Write one line per prediction; ``latency_us`` is the request's time so far, shared evenly by its records."""
        now, share = time.isoformat(), latency_us // len(answers)
        lines = []
        counts: dict[int, int] = {}
        for answer in answers:
            counts[answer.version] = counts.get(answer.version, 0) + 1
            record = answer.record
            line = {
                "kind": "prediction",
                "id": answer.id,
                "request_id": request_id,
                "project": self._project,
                "time": now,
                "event_time": answer.event_time.isoformat() if answer.event_time else None,
                "version": answer.version,
                "variant": answer.variant,
                "inputs": {name: record.get(name) for name in self._logged},
                "output": answer.output,
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

    def failed(self, time: datetime, version: int, count: int) -> None:
        """Count predictions that a model could not make."""
        metrics = {"PredictionErrors": (count, "Count")}
        self._write(emf_line(metrics, self._dimensions(version), time) + "\n")

    def _dimensions(self, version: int) -> dict[str, str]:
        return {"Stage": self._stage, "Project": self._project, "Version": str(version)}
