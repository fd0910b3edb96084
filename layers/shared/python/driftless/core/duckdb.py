"""DuckDB as every step uses it: bounded, offline, in UTC, and with identifiers quoted.

The database is a file in the step's own scratch folder, so tables larger than memory go to disk. Extensions are never
downloaded: the wheel carries Parquet, JSON and ICU. Time stamps inside the engine are naive UTC; only Parquet files in the lake
carry the zone.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from driftless.errors import OutOfResources

_MEMORY_SHARE = 0.5
_DEFAULT_MEMORY_MB = 2048


@contextmanager
def engine(scratch: Path) -> Iterator[Any]:
    """A connection to a new database in ``scratch``, closed at the end.

    Half of the function's memory (``AWS_LAMBDA_FUNCTION_MEMORY_SIZE``, else of 2 GB) is DuckDB's; beyond that it spills to disk.

    Raises
    ------
    OutOfResources
        As of :func:`within_resources`, for all that happens while it is open.
    """
    memory = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") or _DEFAULT_MEMORY_MB) * _MEMORY_SHARE
    config = {
        "memory_limit": f"{memory:.0f}MB",
        "threads": str(max(1, min(4, os.cpu_count() or 1))),
        "temp_directory": str(scratch / "spill"),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    with within_resources(), duckdb.connect(str(scratch / "work.duckdb"), config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET preserve_insertion_order = true")
        yield connection


@contextmanager
def within_resources() -> Iterator[None]:
    """Raise a lack of memory or disk as OutOfResources, so that it is not reported as a fault of data or definition.

    Raises
    ------
    OutOfResources
        When the function's memory or its scratch space did not do.
    """
    try:
        yield
    except (duckdb.Error, OSError, MemoryError) as error:
        if not exhausted(error):
            raise
        remedy = "give the function more in infra/functions.py, or send the data in smaller files"
        raise OutOfResources(f"the function's memory or disk is too small for this: {type(error).__name__}; {remedy}") from error


def exhausted(error: Exception) -> bool:
    """Whether an error says that memory or disk is used up."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, MemoryError | duckdb.OutOfMemoryException) or os.strerror(errno.ENOSPC) in str(error)


def quoted(identifier: str) -> str:
    """An identifier as SQL writes it."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """A Python scalar as a SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


def literals(values: Any) -> str:
    """Comma-separated SQL literals."""
    return ", ".join(literal(value) for value in values)


def scalar(connection: Any, query: str, parameters: list[Any] | None = None) -> Any:
    """The first column of a query's only row."""
    row = connection.execute(query, parameters or []).fetchone()
    return None if row is None else row[0]


def data_message(error: duckdb.Error, *, personal: bool) -> str:
    """DuckDB's message about data; only the error's type where the message may quote a personal value."""
    return type(error).__name__ if personal else first_line(error)


def first_line(error: duckdb.Error) -> str:
    """DuckDB's message about a query, without the rows it may quote further down."""
    return str(error).splitlines()[0].strip()
