"""The collector: writes prediction lines from the log subscription to Parquet files in the lake, by project and day.

Delivery is at least once. An object's key contains the digest of its lines, so a batch that is delivered again overwrites itself;
a line repeated in another batch is recognised by its prediction id when it is read. A prediction line that cannot be parsed or
converted is stored unchanged in another object and counted, and the other lines of its batch are kept: lines are halved until the
bad one is found. Other lines of the log group are ignored. When an object cannot be written, the others still are, and the error
is raised so that the batch is delivered again.

Receipts record how many predictions of each minute are in the lake. Monitoring compares them with the number that inference
counted.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from pydantic import ConfigDict, FiniteFloat, ValidationError

from driftless.core.duckdb import exhausted, first_line
from driftless.core.layout.lake import predictions_file, receipt_key, unreadable_lines
from driftless.definition.project import Project
from driftless.errors import BadRequest, DriftlessError
from driftless.ports import ObjectWriter
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
    """The payload of CloudWatch Logs: gzipped JSON in base64."""

    data: str


class CollectRequest(Record):
    """A log subscription's event."""

    awslogs: Compressed


class Collected(Record):
    """Result of a batch; ``repeated`` counts lines with the id and inputs of another line in the batch."""

    predictions: int
    repeated: int
    unreadable: int
    objects: list[str]


class _Output(Record):
    """The part of a prediction's output that becomes columns."""

    model_config = ConfigDict(extra="ignore")

    prediction: bool | int | FiniteFloat | str
    probabilities: dict[str, FiniteFloat] | None = None


@dataclass(frozen=True)
class _Line:
    text: str
    logged_at: datetime


@dataclass(frozen=True)
class _Taken:
    """A parsed line: its prediction and row, and the minutes of all predictions that it stands for."""

    line: _Line
    prediction: Prediction
    row: dict[str, Any]
    minutes: tuple[datetime, ...]


_Aside = list[tuple[_Line, str]]


class Collect:
    """Writes batches of prediction lines to the lake.

    Parameters
    ----------
    lake : ObjectWriter
        The lake bucket.
    projects : mapping of name to Project
        Give the columns their types.
    """

    def __init__(self, *, lake: ObjectWriter, projects: Mapping[str, Project]) -> None:
        self._lake, self._projects = lake, projects

    def __call__(self, request: CollectRequest) -> Collected:
        """Write one batch.

        Raises
        ------
        BadRequest
            When the event is not a log batch.
        StoreUnavailable, Throttled
            When an object could not be written; the batch can be delivered again.
        """
        groups: dict[tuple[str, str], dict[str, _Taken]] = {}
        aside: _Aside = []
        repeated = 0
        for line in _lines(request.awslogs.data):
            taken = self._parse(line)
            if isinstance(taken, str):
                if not _is_prediction_line(line.text):
                    continue
                aside.append((line, taken))
                continue
            prediction = taken.prediction
            day = _utc(prediction.event_time or prediction.time).date().isoformat()
            group = groups.setdefault((prediction.project, day), {})
            first = group.get(prediction.id)
            if first is not None and first.prediction.inputs != prediction.inputs:
                # A client used one request id twice. A repeated request may get another model, but not other inputs.
                aside.append((line, f"id: {prediction.id} names a prediction of other inputs"))
                continue
            if first is not None:
                repeated += 1
                taken = replace(taken, minutes=first.minutes + taken.minutes)
            group[prediction.id] = taken
        understood, before = sum(map(len, groups.values())), len(aside)
        objects, receipts = self._objects(groups, aside)
        failed: list[DriftlessError] = []
        for key, content in objects.items():
            try:
                self._lake.put(key, content)
            except DriftlessError as error:
                failed.append(error)
        if failed:
            raise failed[0]
        for key in receipts:
            self._lake.put(key, b"")
        predictions = understood - (len(aside) - before)
        return Collected(predictions=predictions, repeated=repeated, unreadable=len(aside), objects=sorted(objects))

    def _parse(self, line: _Line) -> _Taken | str:
        """The parsed line, or the reason why it cannot be parsed."""
        try:
            prediction = Prediction.model_validate_json(line.text)
            output = _Output.model_validate(prediction.output)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            within = "output." if error.title == _Output.__name__ else ""
            return f"{within}{'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}"
        project = self._projects.get(prediction.project)
        if project is None:
            return f"project: {prediction.project} is not defined"
        for name, value in prediction.inputs.items():
            feature = project.features.columns.get(name)
            if not _fits(feature.type if feature is not None else None, value):
                return f"inputs.{name}: {type(value).__name__} is no {feature.type if feature is not None else 'finite number'}"
        try:
            minute = prediction.time.astimezone(UTC).replace(second=0, microsecond=0)
            return _Taken(line, prediction, _row(prediction, output), (minute,))
        except (ValueError, OverflowError) as error:
            return f"output or time: {error}"

    def _objects(
        self, groups: Mapping[tuple[str, str], Mapping[str, _Taken]], aside: _Aside
    ) -> tuple[dict[str, bytes], list[str]]:
        """The objects to write, by key, and their receipts; lines that cannot be converted are added to ``aside``."""
        found: dict[str, bytes] = {}
        predictions: Counter[tuple[str, datetime]] = Counter()
        with duckdb.connect() as connection:
            for (name, day), group in groups.items():
                for taken, content in _written(connection, self._projects[name], [group[key] for key in sorted(group)], aside):
                    text = "\n".join(item.prediction.model_dump_json() for item in taken)
                    found[predictions_file(name, day, _digest(text.encode()))] = content
                    predictions.update((name, minute) for item in taken for minute in item.minutes)
        days: dict[str, list[str]] = {}
        for line, reason in aside:
            kept = {"reason": reason, "logged_at": line.logged_at.isoformat(), "line": line.text}
            days.setdefault(line.logged_at.strftime("%Y-%m-%d"), []).append(json.dumps(kept))
        for day, lines in days.items():
            content = ("\n".join(lines) + "\n").encode()
            found[unreadable_lines(day, _digest(content))] = content
        batch = _digest("\n".join(sorted(found)).encode())
        return found, [receipt_key(name, minute, lines, batch) for (name, minute), lines in sorted(predictions.items())]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _lines(data: str) -> list[_Line]:
    try:
        batch = json.loads(gzip.decompress(base64.b64decode(data, validate=True)))
        if batch["messageType"] != "DATA_MESSAGE":
            return []
        events = {item["id"]: item for item in batch["logEvents"]}.values()
        return [_Line(item["message"], datetime.fromtimestamp(item["timestamp"] / 1000, UTC)) for item in events]
    except (binascii.Error, OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"not a log subscription's event: {error!r}") from error


def _is_prediction_line(text: str) -> bool:
    """Whether a line of the log group is a prediction's, by the rule of the subscription's filter."""
    if not text.startswith("{"):
        return False
    try:
        return bool(json.loads(text).get("kind") == "prediction")
    except ValueError:
        return True  # part of a line that was split


def _fits(kind: str | None, value: Scalar) -> bool:
    """Whether an input is of its feature's type; of a feature the project no longer defines, whether it is finite."""
    if value is None:
        return True
    if kind == "category" or (kind is None and isinstance(value, str)):
        return isinstance(value, str)
    if kind == "boolean" or (kind is None and isinstance(value, bool)):
        return isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _row(prediction: Prediction, output: _Output) -> dict[str, Any]:
    """A prediction's columns as JSON values.

    Raises
    ------
    ValueError, OverflowError
        When a prediction without probabilities is not a number, or a time cannot be expressed in UTC.
    """
    row: dict[str, Any] = prediction.model_dump(include={"id", "request_id", "project", "version", "variant", "latency_us"})
    row["time"] = _utc(prediction.time).isoformat(sep=" ")
    row["event_time"] = _utc(prediction.event_time).isoformat(sep=" ") if prediction.event_time else None
    label, probabilities = output.prediction, output.probabilities or {}
    row["prediction"] = str(label).lower() if isinstance(label, bool) else str(label)
    row["score"] = probabilities.get("true", max(probabilities.values())) if probabilities else float(label)
    row |= {f"p_{name}": value for name, value in probabilities.items()}
    return row | {f"input_{name}": value for name, value in prediction.inputs.items()}


def _written(
    connection: duckdb.DuckDBPyConnection, project: Project, group: Sequence[_Taken], aside: _Aside
) -> Iterator[tuple[Sequence[_Taken], bytes]]:
    """Parquet of a group's lines, in one file where possible; a line that fits no column is added to ``aside``."""
    try:
        yield group, _parquet(connection, project, group)
    except duckdb.Error as error:
        if exhausted(error):
            raise
        if len(group) == 1:
            # Without the name of DuckDB's scratch file: a batch that is delivered again must give the same reason.
            aside.append((group[0].line, f"line: {first_line(error).rpartition(', in line 1: ')[2]}"))
            return
        middle = len(group) // 2
        for half in (group[:middle], group[middle:]):
            yield from _written(connection, project, half, aside)


def _parquet(connection: duckdb.DuckDBPyConnection, project: Project, group: Sequence[_Taken]) -> bytes:
    """Typed Parquet; inputs of features that the project no longer defines keep their JSON type."""
    columns = dict(_FIXED)
    for item in group:
        columns.update({name: "DOUBLE" for name in item.row if name.startswith("p_")})
        for name, value in item.prediction.inputs.items():
            if name not in project.features.columns and value is not None:
                columns.setdefault(f"input_{name}", _guessed(value))
    logged = {name: feature for name, feature in project.features.columns.items() if not feature.pii}
    columns.update({f"input_{name}": _COLUMN_TYPES[feature.type] for name, feature in logged.items()})
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "rows.jsonl"), Path(folder, "rows.parquet")
        source.write_text("\n".join(json.dumps(item.row) for item in group) + "\n", encoding="ascii")
        read = connection.read_json(str(source), columns=columns, format="newline_delimited")
        read.write_parquet(str(target), compression="zstd")
        return target.read_bytes()


def _guessed(value: Scalar) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    return "VARCHAR" if isinstance(value, str) else "DOUBLE"


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(tzinfo=None)
