"""The collector: prediction lines from the log subscription become Parquet in the lake, by project and day.

Delivery is at least once. A batch's object is named by the digest of the lines in it, so that a batch delivered again overwrites
itself; the same line in another batch is recognised by its prediction id when it is read. A line that cannot be understood is
kept aside as it came and counted, never dropped. When an object cannot be written the others still are, and the error is raised
so that the batch comes again.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from pydantic import ValidationError

from driftless.errors import BadRequest, DriftlessError
from driftless.ports import ObjectStore
from driftless.project import Project
from driftless.records import Prediction, Record, Scalar

_COLUMN_TYPES = {"number": "DOUBLE", "integer": "DOUBLE", "boolean": "BOOLEAN", "category": "VARCHAR"}
_FIXED = {
    "id": "VARCHAR",
    "request_id": "VARCHAR",
    "project": "VARCHAR",
    "time": "TIMESTAMP",
    "event_time": "TIMESTAMP",
    "version": "BIGINT",
    "variant": "VARCHAR",
    "latency_us": "BIGINT",
    "prediction": "VARCHAR",
    "score": "DOUBLE",
}


class Compressed(Record):
    """What CloudWatch Logs sends: gzipped JSON in base64."""

    data: str


class CollectRequest(Record):
    """A log subscription's event."""

    awslogs: Compressed


class Collected(Record):
    """What became of a batch; ``repeated`` lines had the id of another line of the same batch."""

    predictions: int
    repeated: int
    unreadable: int
    objects: list[str]


@dataclass(frozen=True)
class _Line:
    text: str
    logged_at: datetime


class Collect:
    """Writes batches of journal lines to the lake.

    Parameters
    ----------
    lake : ObjectStore
        The lake bucket.
    projects : mapping of name to Project
        Give the columns their types.
    """

    def __init__(self, *, lake: ObjectStore, projects: Mapping[str, Project]) -> None:
        self._lake, self._projects = lake, projects

    def __call__(self, request: CollectRequest) -> Collected:
        """Write one batch.

        Raises
        ------
        BadRequest
            When the event is no log batch at all.
        StoreUnavailable, Throttled
            When an object could not be written; the batch can be delivered again.
        """
        groups: dict[tuple[str, str], dict[str, Prediction]] = {}
        aside: list[tuple[_Line, str]] = []
        repeated = 0
        for line in _lines(request.awslogs.data):
            prediction = self._parse(line.text)
            if isinstance(prediction, str):
                aside.append((line, prediction))
                continue
            day = (prediction.event_time or prediction.time).astimezone(UTC).strftime("%Y-%m-%d")
            group = groups.setdefault((prediction.project, day), {})
            repeated += prediction.id in group
            group[prediction.id] = prediction
        objects: list[str] = []
        failed: list[DriftlessError] = []
        for key, content in self._objects(groups, aside):
            try:
                self._lake.put(key, content)
                objects.append(key)
            except DriftlessError as error:
                failed.append(error)
        if failed:
            raise failed[0]
        return Collected(
            predictions=sum(map(len, groups.values())), repeated=repeated, unreadable=len(aside), objects=sorted(objects)
        )

    def _parse(self, text: str) -> Prediction | str:
        """The prediction, or why it is none."""
        try:
            prediction = Prediction.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return f"{'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}"
        project = self._projects.get(prediction.project)
        if project is None:
            return f"project: {prediction.project} is not defined"
        for name, value in prediction.inputs.items():
            feature = project.features.columns.get(name)
            if feature is not None and not _fits(feature.type, value):
                return f"inputs.{name}: {type(value).__name__} is no {feature.type}"
        if "prediction" not in prediction.output:
            return "output: holds no prediction"
        return prediction

    def _objects(
        self, groups: Mapping[tuple[str, str], Mapping[str, Prediction]], aside: Sequence[tuple[_Line, str]]
    ) -> list[tuple[str, bytes]]:
        found = []
        with duckdb.connect() as connection:
            for (name, day), group in groups.items():
                predictions = [group[key] for key in sorted(group)]
                digest = hashlib.sha256("\n".join(item.model_dump_json() for item in predictions).encode()).hexdigest()
                key = f"predictions/{name}/day={day}/{digest[:32]}.parquet"
                found.append((key, _parquet(connection, self._projects[name], predictions)))
        days: dict[str, list[str]] = {}
        for line, reason in aside:
            kept = {"reason": reason, "logged_at": line.logged_at.isoformat(), "line": line.text}
            days.setdefault(line.logged_at.strftime("%Y-%m-%d"), []).append(json.dumps(kept))
        for day, lines in days.items():
            content = ("\n".join(lines) + "\n").encode()
            found.append((f"predictions/_unreadable/day={day}/{hashlib.sha256(content).hexdigest()[:32]}.jsonl", content))
        return found


def _lines(data: str) -> list[_Line]:
    try:
        batch = json.loads(gzip.decompress(base64.b64decode(data, validate=True)))
        if batch["messageType"] != "DATA_MESSAGE":
            return []
        return [_Line(item["message"], datetime.fromtimestamp(item["timestamp"] / 1000, UTC)) for item in batch["logEvents"]]
    except (binascii.Error, OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"not a log subscription's event: {error!r}") from error


def _fits(kind: str, value: Scalar) -> bool:
    if value is None:
        return True
    if kind == "category":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parquet(connection: duckdb.DuckDBPyConnection, project: Project, predictions: Sequence[Prediction]) -> bytes:
    """Typed Parquet; inputs of features the project no longer defines keep the type they came in."""
    columns = dict(_FIXED)
    rows = []
    for item in predictions:
        row = item.model_dump(include={"id", "request_id", "project", "version", "variant", "latency_us"})
        row["time"] = _naive(item.time)
        row["event_time"] = _naive(item.event_time) if item.event_time else None
        label, probabilities = item.output["prediction"], item.output.get("probabilities") or {}
        row["prediction"] = str(label).lower() if isinstance(label, bool) else str(label)
        row["score"] = probabilities.get("true", max(probabilities.values())) if probabilities else float(label)
        for name, value in probabilities.items():
            columns[f"p_{name}"] = "DOUBLE"
            row[f"p_{name}"] = value
        for name, value in item.inputs.items():
            row[f"input_{name}"] = value
            feature = project.features.columns.get(name)
            if feature is None and value is not None:
                columns.setdefault(f"input_{name}", _guessed(value))
        rows.append(json.dumps(row))
    logged = {name: feature for name, feature in project.features.columns.items() if not feature.pii}
    columns.update({f"input_{name}": _COLUMN_TYPES[feature.type] for name, feature in logged.items()})
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "rows.jsonl"), Path(folder, "rows.parquet")
        source.write_text("\n".join(rows) + "\n", encoding="ascii")
        read = connection.read_json(str(source), columns=columns, format="newline_delimited")
        read.write_parquet(str(target), compression="zstd")
        return target.read_bytes()


def _guessed(value: Scalar) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    return "VARCHAR" if isinstance(value, str) else "DOUBLE"


def _naive(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
