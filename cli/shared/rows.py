"""Rows of a file as typed API records.

DuckDB reads CSV, JSON lines and Parquet alike. CSV cells are text; each is cast to the type
that the project declares for its column. An error names row and column, before anything is sent.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from cli.shared.failures import Failure
from driftless.definition.project import Project

T = TypeVar("T")
READERS = {
    ".csv": "read_csv($file, all_varchar = true, header = true)",
    ".tsv": "read_csv($file, all_varchar = true, header = true, delim = '\t')",
    ".jsonl": "read_json($file, format = 'newline_delimited')",
    ".ndjson": "read_json($file, format = 'newline_delimited')",
    ".json": "read_json($file)",
    ".parquet": "read_parquet($file)",
}
BATCH = 1000
_UNZONED = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMP"}
NULLS = ("", "NA")
BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


def read_rows(path: Path) -> tuple[list[str], Iterator[dict[str, Any]]]:
    """Column names, and the rows one by one in file order.

    Raises
    ------
    Failure
        When the file type is unknown or the content does not match it.
    """
    suffixes = [suffix for suffix in path.suffixes if suffix not in (".gz", ".zst")]
    reader = READERS.get(suffixes[-1] if suffixes else "")
    if reader is None:
        raise Failure("arguments", f"{path.name} has an unknown file type", f"use one of {', '.join(READERS)}")
    # This import takes 0.3 s, which only commands that read files should spend.
    import duckdb

    from driftless.core.duckdb import quoted

    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = true; SET TimeZone = 'UTC'")
    parameters = {"file": str(path)}
    try:
        kinds = connection.execute(f"DESCRIBE SELECT * FROM {reader}", parameters).fetchall()
        # Times with a zone become naive UTC: Python would need a time zone package for them.
        columns = ", ".join(f"CAST({quoted(name)} AS {_UNZONED.get(kind, kind)}) AS {quoted(name)}" for name, kind, *_ in kinds)
        cursor = connection.execute(f"SELECT {columns} FROM {reader}", parameters)
    except duckdb.Error as error:
        raise _unreadable(path, error) from error
    names = [str(name) for name, *_ in kinds]

    def rows() -> Iterator[dict[str, Any]]:
        read = 0
        while True:
            try:
                batch = cursor.fetchmany(BATCH)
            except duckdb.Error as error:
                raise _unreadable(path, error, f", after row {read}") from error
            if not batch:
                return
            read += len(batch)
            for values in batch:
                yield dict(zip(names, values, strict=True))

    return names, rows()


def _unreadable(path: Path, error: Exception, place: str = "") -> Failure:
    said = str(error).strip().splitlines()
    return Failure(f"file {path.name}{place}", " ".join(said[:2])[:500], "correct the file")


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most ``size`` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def api_records(project: Project, path: Path) -> Iterator[dict[str, Any]]:
    """Rows as the project's API takes them: its features, the event time and the routing key when the file has them.

    Raises
    ------
    Failure
        When a feature that may not be null has no column, or a cell is not of its feature's type.
    """
    names, rows = read_rows(path)
    required = [name for name, column in project.features.columns.items() if not column.nullable]
    missing = [name for name in required if name not in names]
    if missing:
        raise Failure(
            f"file {path.name}",
            f"column {', '.join(missing)} is missing",
            "add it; project.toml [features.columns] lists all columns",
        )
    event_time = project.datasets[project.features.base].event_time
    for number, row in enumerate(rows, start=1):
        record: dict[str, Any] = {}
        for name, column in project.features.columns.items():
            if name in row:
                with _cell(path, number, name):
                    record[name] = typed(row[name], column.type)
        if row.get(event_time) not in (None, *NULLS):
            with _cell(path, number, event_time):
                record[event_time] = moment(row[event_time])
        if row.get("key") not in (None, "") and "key" not in project.features.columns:
            record["key"] = str(row["key"])
        yield record


@contextmanager
def _cell(path: Path, number: int, column: str) -> Iterator[None]:
    """Add row and column to the error of a wrong cell."""
    try:
        yield
    except ValueError as error:
        raise Failure(f"file {path.name}, row {number}", f"column {column}: {error}", "correct the cell") from error


def typed(value: Any, kind: str) -> bool | int | float | str | None:
    """A cell as a feature of type number, integer, category or boolean; ``""`` and ``NA`` are null.

    Raises
    ------
    ValueError
        When it is not of that type.
    """
    if value is None or (isinstance(value, str) and value in NULLS) or (isinstance(value, float) and math.isnan(value)):
        return None
    if kind == "category":
        return str(value)
    if kind == "boolean":
        return boolean(value)
    try:
        parsed = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{value!r} is not a number") from error
    if not math.isfinite(parsed):
        raise ValueError(f"{value!r} is not a finite number")
    if kind == "integer" and parsed != int(parsed):
        raise ValueError(f"{value!r} is not a whole number")
    return int(parsed) if kind == "integer" else parsed


def boolean(value: Any) -> bool:
    """A truth value from true, false, 1 or 0."""
    if isinstance(value, bool):
        return value
    try:
        return BOOLEANS[str(value).strip().lower()]
    except KeyError:
        raise ValueError(f"{value!r} is not true, false, 1 or 0") from None


def moment(value: Any) -> str:
    """A time as ISO 8601 in UTC; a time without a zone is UTC.

    Raises
    ------
    ValueError
        When it is not a time.
    """
    try:
        parsed = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return (parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)).isoformat()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{value!r} is not a time such as 2013-05-01T10:00:00Z") from error
