"""Replay: compute the features again from the tables as they were at a few past moments.

For rows up to such a moment an honest feature keeps its value, because it depends only on what was known by then. A feature
that reads a later row, or an outcome before it was known, changes.
"""

from __future__ import annotations

from typing import Any

from driftless.core.duckdb import literal, quoted
from driftless.data.features.compute import compute
from driftless.data.features.tables import expose, rows_table
from driftless.data.leakage.finding import Finding
from driftless.definition.project import Project

_MOMENTS = (0.5, 0.8, 0.95)
# Without a delay only the rows of the moment itself have an outcome that is hidden from them, so more moments are needed. Their
# distances are uneven, so that they do not coincide with a period of the data.
_MOMENTS_WITHOUT_DELAY = tuple(0.4 + 0.6 * (step * 0.618034 % 1) for step in range(12))
_TOLERANCE = 1e-9
_SCHEMA = "replay"


def replay(connection: Any, project: Project) -> Finding | None:
    """The feature that changes in most rows when later rows are hidden, if any does."""
    base = project.datasets[project.features.base]
    time = quoted(base.event_time)
    shares = _MOMENTS if project.target.label_delay else _MOMENTS_WITHOUT_DELAY
    moments = connection.execute(
        f"SELECT DISTINCT unnest(quantile_disc({time}, [{', '.join(map(str, shares))}])) AS moment "
        f"FROM {rows_table(project.features.base)} ORDER BY moment"
    ).fetchall()
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
    try:
        for (moment,) in moments:
            expose(connection, project, _SCHEMA, moment)
            compute(connection, project, _SCHEMA)
            finding = _compare(connection, project, moment)
            if finding is not None:
                return finding
    finally:
        connection.execute(f"DROP SCHEMA {_SCHEMA} CASCADE")
    return None


def _compare(connection: Any, project: Project, moment: Any) -> Finding | None:
    base = project.datasets[project.features.base]
    keys = " AND ".join(f"past.{quoted(name)} IS NOT DISTINCT FROM present.{quoted(name)}" for name in base.key)
    until = f"present.{quoted(base.event_time)} <= TIMESTAMP {literal(str(moment))}"
    names = [*project.features.columns]
    counts = ", ".join(
        f"count(*) FILTER (WHERE {_differs(name, numeric=column.type in ('number', 'integer'))})"
        for name, column in project.features.columns.items()
    )
    row = connection.execute(
        f"SELECT count(*), {counts} FROM main.features AS present LEFT JOIN {_SCHEMA}.features AS past ON {keys} WHERE {until}"
    ).fetchone()
    rows, *changed = row
    most = max(range(len(names)), key=lambda position: changed[position])
    if not changed[most]:
        return None
    return Finding(
        names[most],
        f"with everything after {moment} UTC hidden, {changed[most]} of {rows} rows up to then get another value",
        "join only rows with a time at or before the base row's, and outcomes by known_at <= that time "
        "(or make the SQL deterministic, if it uses random numbers or the clock)",
    )


def _differs(name: str, *, numeric: bool) -> str:
    now, then = f"present.{quoted(name)}", f"past.{quoted(name)}"
    differs = f"{now} IS DISTINCT FROM {then}"
    if not numeric:
        return differs
    # Sums over many rows may be added in another order.
    close = f"abs({now} - {then}) <= {_TOLERANCE} * greatest(1, abs({now}))"
    return f"{differs} AND ({close}) IS NOT TRUE"
