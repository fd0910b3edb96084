"""The collector: prediction lines from the log subscription become Parquet in the lake, by project and day.

Delivery is at least once. A batch's object is named by the digest of the lines in it, so that a batch delivered again overwrites
itself; the same line in another batch is recognised by its prediction id when it is read. A prediction's line that cannot be
understood is kept aside as it came and counted, never dropped, and takes no other line with it: what cannot be converted is found
by halving the lines until it stands alone. What else stands in the group is none of ours. When an object cannot be written the
others still are, and the error is raised so that the batch comes again.

Receipts say how many answers of each minute came to lie in the lake, so that monitoring can compare them with what inference
counted in the same minutes.
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
    """What CloudWatch Logs sends: gzipped JSON in base64."""

    data: str


class CollectRequest(Record):
    """A log subscription's event."""

    awslogs: Compressed


class Collected(Record):
    """What became of a batch; ``repeated`` lines were another line of the same batch once more, by id and inputs."""

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
    """A line that was understood: its prediction and its row, and the minutes in which what it stands for was answered."""

    line: _Line
    prediction: Prediction
    row: dict[str, Any]
    answered: tuple[datetime, ...]


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
            When the event is no log batch at all.
        StoreUnavailable, Throttled
            When an object could not be written; the batch can be delivered again.
        """
        groups: dict[tuple[str, str], dict[str, _Taken]] = {}
        aside: _Aside = []
        repeated = 0
        for line in _lines(request.awslogs.data):
            taken = self._parse(line)
            if isinstance(taken, str):
                if not _asked_for(line.text):
                    continue
                aside.append((line, taken))
                continue
            prediction = taken.prediction
            day = _utc(prediction.event_time or prediction.time).date().isoformat()
            group = groups.setdefault((prediction.project, day), {})
            first = group.get(prediction.id)
            if first is not None and first.prediction.inputs != prediction.inputs:
                # A client chose the id of a request twice. A request sent again may meet another model, never other inputs.
                aside.append((line, f"id: {prediction.id} names a prediction of other inputs"))
                continue
            if first is not None:
                repeated += 1
                taken = replace(taken, answered=first.answered + taken.answered)
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
        """The prediction, or why it is none."""
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
        """What is to be written, by key, and the receipts for it; ``aside`` is given the lines that cannot be."""
        found: dict[str, bytes] = {}
        answered: Counter[tuple[str, datetime]] = Counter()
        with duckdb.connect() as connection:
            for (name, day), group in groups.items():
                for taken, content in _written(connection, self._projects[name], [group[key] for key in sorted(group)], aside):
                    text = "\n".join(item.prediction.model_dump_json() for item in taken)
                    found[predictions_file(name, day, _digest(text.encode()))] = content
                    answered.update((name, minute) for item in taken for minute in item.answered)
        days: dict[str, list[str]] = {}
        for line, reason in aside:
            kept = {"reason": reason, "logged_at": line.logged_at.isoformat(), "line": line.text}
            days.setdefault(line.logged_at.strftime("%Y-%m-%d"), []).append(json.dumps(kept))
        for day, lines in days.items():
            content = ("\n".join(lines) + "\n").encode()
            found[unreadable_lines(day, _digest(content))] = content
        batch = _digest("\n".join(sorted(found)).encode())
        return found, [receipt_key(name, minute, lines, batch) for (name, minute), lines in sorted(answered.items())]


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


def _asked_for(text: str) -> bool:
    """Whether a line of the group is a prediction's, as the subscription's filter asks; others are none of ours."""
    if not text.startswith("{"):
        return False
    try:
        return bool(json.loads(text).get("kind") == "prediction")
    except ValueError:
        return True  # what is left of a line that was torn


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
        When a label without probabilities is no number, or a time has no place in UTC.
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
    """Parquet of a group's lines, in one piece when they agree with each other; a line that agrees with no column goes aside."""
    try:
        yield group, _parquet(connection, project, group)
    except duckdb.Error as error:
        if exhausted(error):
            raise
        if len(group) == 1:
            # Without the scratch file that DuckDB names: a batch that comes again must give the same reason.
            aside.append((group[0].line, f"line: {first_line(error).rpartition(', in line 1: ')[2]}"))
            return
        middle = len(group) // 2
        for half in (group[:middle], group[middle:]):
            yield from _written(connection, project, half, aside)


def _parquet(connection: duckdb.DuckDBPyConnection, project: Project, group: Sequence[_Taken]) -> bytes:
    """Typed Parquet; inputs of features the project no longer defines keep the type they came in."""
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
