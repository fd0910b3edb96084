"""The project's tables inside the engine: loaded once, exposed as views that hide what is not known yet.

``_rows_<dataset>`` holds the deduplicated rows with naive UTC times. The views that features SQL names are made over them, either
as they are or as they looked at an earlier moment: the leak check replays history with nothing but the second form. An outcome
is known strictly after its event, even where ``label_delay_hours`` is 0, so no row's own outcome passes for history.

Where a dataset has a time-to-live, its view ends each row that no other followed in time with a row of nulls for the same entity:
an as-of join finds that one and joins nothing, as if there had never been a reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from driftless.core.duckdb import literal, quoted
from driftless.definition.datasets import Dataset
from driftless.definition.project import Project
from driftless.errors import NotEnoughData

_TYPES = {"integer": "BIGINT", "number": "DOUBLE", "string": "VARCHAR", "boolean": "BOOLEAN", "timestamp": "TIMESTAMP"}


def rows_table(dataset: str) -> str:
    """Name of the table behind a dataset's views."""
    return f"main.{quoted(f'_rows_{dataset}')}"


def load(connection: Any, project: Project, files: Mapping[str, Sequence[Path]]) -> None:
    """Load every dataset and expose it.

    Raises
    ------
    NotEnoughData
        When a dataset has no file.
    """
    for name, dataset in project.datasets.items():
        paths = [str(path) for path in files.get(name, ())]
        if not paths:
            raise NotEnoughData(f"dataset {project.name}/{name} has no data yet; push a file to it first")
        _load_one(connection, name, dataset, paths)
    expose(connection, project, "main")


def load_nothing(connection: Any, project: Project) -> None:
    """Expose every dataset as a table of its declared types that has no rows yet."""
    for name, dataset in project.datasets.items():
        columns = ", ".join(f"{quoted(column)} {_TYPES[definition.type]}" for column, definition in dataset.columns.items())
        connection.execute(f"CREATE TABLE {rows_table(name)} ({columns})")
    expose(connection, project, "main")


def _load_one(connection: Any, name: str, dataset: Dataset, paths: list[str]) -> None:
    reader = f"read_parquet([{', '.join(map(literal, paths))}], union_by_name = true, filename = true, file_row_number = true)"
    present = {str(row[0]) for row in connection.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall()}
    wanted = ", ".join(
        f"CAST({quoted(column)} AS {_TYPES[definition.type]}) AS {quoted(column)}"
        if column in present
        else f"CAST(NULL AS {_TYPES[definition.type]}) AS {quoted(column)}"
        for column, definition in dataset.columns.items()
    )
    keys = ", ".join(quoted(column) for column in dataset.key)
    order = ", ".join(f"({literal(path)}, {position})" for position, path in enumerate(paths))
    connection.execute(
        f"CREATE TABLE {rows_table(name)} AS SELECT * EXCLUDE (_file, _row) FROM ("
        f"SELECT {wanted}, _file, file_row_number AS _row FROM {reader} "
        f"JOIN (VALUES {order}) AS files(_path, _file) ON filename = _path) "
        f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY _file DESC, _row DESC) = 1 "
        f"ORDER BY {quoted(dataset.event_time)}, {keys}"
    )


def expose(connection: Any, project: Project, schema: str, moment: datetime | None = None) -> None:
    """Make the views features SQL reads, in a schema of their own.

    Parameters
    ----------
    connection
        An engine whose tables are loaded.
    project : Project
        The definition.
    schema : str
        Where the views go.
    moment : datetime, optional
        Naive UTC. When given, later rows are gone and outcomes that were not known yet are null.
    """
    delay = max(1, round(project.target.label_delay.total_seconds() * 1e6))
    for name, dataset in project.datasets.items():
        time = quoted(dataset.event_time)
        known_at = f"{time} + to_microseconds({delay})"
        seen = "true" if moment is None else f"{time} <= {_moment(moment)}"
        before = [quoted(column) for column, definition in dataset.columns.items() if definition.known == "before"]
        view = f"{quoted(schema)}.{quoted(name)}"
        readings = f"SELECT {', '.join(before)} FROM {rows_table(name)} WHERE {seen}"
        if dataset.ttl_hours is not None:
            readings += f" UNION ALL {_ends(name, dataset, dataset.ttl_hours, seen, moment)}"
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS {readings}")
        outcomes = outcome_columns(dataset)
        if outcomes:
            known = "true" if moment is None else f"{known_at} <= {_moment(moment)}"
            shown = [f"CASE WHEN {known} THEN {quoted(column)} END AS {quoted(column)}" for column in outcomes]
            view = f"{quoted(schema)}.{quoted(f'{name}_outcomes')}"
            connection.execute(
                f"CREATE OR REPLACE VIEW {view} AS SELECT {', '.join([*before, *shown])}, {known_at} AS known_at "
                f"FROM {rows_table(name)} WHERE {seen}"
            )


def _ends(name: str, dataset: Dataset, hours: float, seen: str, moment: datetime | None) -> str:
    """A SELECT of the rows of nulls at which readings end that were not followed in time."""
    time = quoted(dataset.event_time)
    entity = [quoted(column) for column in dataset.key if column != dataset.event_time]
    window = (f"PARTITION BY {', '.join(entity)} " if entity else "") + f"ORDER BY {time}"
    end = f"{time} + to_microseconds({round(hours * 3.6e9)})"
    shown = {column: f"CAST(NULL AS {_TYPES[definition.type]})" for column, definition in dataset.columns.items()}
    shown |= {column: quoted(column) for column in dataset.key} | {dataset.event_time: end}
    before = [column for column, definition in dataset.columns.items() if definition.known == "before"]
    columns = ", ".join(f"{shown[column]} AS {quoted(column)}" for column in before)
    following = quoted("following row")  # a space, which no column's name may have
    followed = f"SELECT *, lead({time}) OVER ({window}) AS {following} FROM {rows_table(name)} WHERE {seen}"
    over = "true" if moment is None else f"{end} <= {_moment(moment)}"
    return f"SELECT {columns} FROM ({followed}) WHERE ({following} IS NULL OR {following} > {end}) AND {over}"


def outcome_columns(dataset: Dataset) -> list[str]:
    """Columns that are known only after the event."""
    return [column for column, definition in dataset.columns.items() if definition.known == "after"]


def _moment(moment: datetime) -> str:
    return f"TIMESTAMP {literal(moment.isoformat(sep=' '))}"
