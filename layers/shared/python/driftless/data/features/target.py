"""The target: the project's expression over the base dataset, null where the label is not known at a moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import duckdb

from driftless.core.clock import utc_now
from driftless.core.duckdb import exhausted, literal, literals, quoted, scalar
from driftless.data.features.complaints import quotes_a_person, said
from driftless.data.features.tables import rows_table
from driftless.definition.project import Project

_TARGETS = {"binary": "BOOLEAN", "multiclass": "VARCHAR", "regression": "DOUBLE"}


def add_target(connection: Any, project: Project, as_of: datetime | None = None, now: datetime | None = None) -> list[str]:
    """Fill ``labelled`` (features, target, ``_position``, ``_observable``) and return the names of its public columns.

    ``_observable`` says that the label is due at ``as_of``, whether or not it is null. The default is the time of the latest
    event, but never later than ``now`` (by default the clock): one row dated in the future must not make labels due.
    """
    name, target = project.features.base, project.target
    dataset = project.datasets[name]
    time = quoted(dataset.event_time)
    cap = f"TIMESTAMP {literal(_naive(now or utc_now()))}"
    latest = f"least((SELECT max({time}) FROM {rows_table(name)}), {cap})"
    moment = f"TIMESTAMP {literal(_naive(as_of))}" if as_of is not None else latest
    delay = round(target.label_delay.total_seconds() * 1e6)
    keys = list(dict.fromkeys((*dataset.key, dataset.event_time)))
    columns = [*dict.fromkeys((*keys, *project.features.columns)), target.name]
    using = " AND ".join(f"f.{quoted(column)} IS NOT DISTINCT FROM b.{quoted(column)}" for column in dataset.key)
    public = ", ".join(f"f.{quoted(column)}" for column in columns[:-1])
    expression = f"CAST(({target.expression}) AS {_TARGETS[project.task]})"
    try:
        connection.execute(
            f"CREATE OR REPLACE TABLE targets AS SELECT *, {expression} AS _target, "
            f"{time} + to_microseconds({delay}) <= {moment} AS _observable FROM {rows_table(name)}"
        )
    except duckdb.Error as error:
        if exhausted(error):
            raise
        fix = f"write an expression over the columns of {name}"
        cause = None if quotes_a_person(project, error) else error
        raise project.wrong("target.expression", said(project, error), fix) from cause
    order = ", ".join(f"f.{quoted(column)}" for column in dict.fromkeys((dataset.event_time, *dataset.key)))
    connection.execute(
        f"CREATE OR REPLACE TABLE labelled AS SELECT {public}, CASE WHEN _observable THEN _target END AS {quoted(target.name)}, "
        f"_observable, row_number() OVER (ORDER BY {order}) AS _position FROM features f JOIN targets b ON {using} "
        "ORDER BY _position"
    )
    _check_target(connection, project)
    return columns


def _check_target(connection: Any, project: Project) -> None:
    target = quoted(project.target.name)
    wrong = "false"
    if project.task == "multiclass":
        wrong = f"{target} NOT IN ({literals(project.target.classes)})"
    if project.task == "regression":
        wrong = f"NOT isfinite({target})"
    count = scalar(connection, f"SELECT count(*) FROM labelled WHERE {wrong}")
    if count:
        kind = "is none of target.classes" if project.task == "multiclass" else "is not a finite number"
        fix = "add the class, or map it in the expression"
        raise project.wrong("target.expression", f"the target {kind} in {count} rows", fix)


def _naive(moment: datetime) -> str:
    return (moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo is not None else moment).isoformat(sep=" ")
