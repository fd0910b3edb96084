"""Running features SQL and checking what it yields: declared columns, declared types, one row per row of the base dataset."""

from __future__ import annotations

import re
from typing import Any

import duckdb

from driftless.core.duckdb import exhausted, literal, literals, quoted, scalar
from driftless.data.features.complaints import column_error, complaint, quotes_a_person, sql_error
from driftless.data.features.tables import rows_table
from driftless.definition.features import FeatureColumn
from driftless.definition.project import Project

_NUMERIC = re.compile(r"^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*)$")
_LAST_SEMICOLON = re.compile(r";\s*(--[^\n]*(\n\s*|\Z))*\Z")


def compute(connection: Any, project: Project, schema: str = "main") -> None:
    """Fill ``<schema>.features`` (key, event time, features) from the views of a schema.

    Raises
    ------
    BadProject, LeakageFound
        As of :func:`driftless.data.features.build`.
    """
    selected = _select(connection, project, schema)
    described = connection.execute(f"DESCRIBE {quoted(schema)}.{quoted('_selected')}").fetchall()
    types = {str(row[0]): str(row[1]) for row in described}
    _check_columns(project, types)
    base = project.datasets[project.features.base]
    keys = list(dict.fromkeys((*base.key, base.event_time)))
    wanted = [quoted(name) for name in keys if name not in project.features.columns]
    wanted += [
        f"{_typed(project, name, column, types[name])} AS {quoted(name)}" for name, column in project.features.columns.items()
    ]
    table = f"{quoted(schema)}.{quoted('features')}"
    try:
        connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT {', '.join(wanted)} FROM {selected}")
    except duckdb.Error as error:
        if exhausted(error):
            raise
        raise complaint(project, error) from (None if quotes_a_person(project, error) else error)
    connection.execute(f"DROP TABLE {selected}")
    if schema == "main":
        _check_rows(connection, project)
        _check_values(connection, project)


def _select(connection: Any, project: Project, schema: str) -> str:
    sql = project.features_sql
    target = f"{quoted(schema)}.{quoted('_selected')}"
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise complaint(project, error) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise sql_error(project, f"{len(statements)} statements, or none that selects", "write exactly one SELECT")
    try:
        connection.execute(f"SET search_path = {literal(schema)}")
        connection.execute(f"CREATE OR REPLACE TABLE {target} AS FROM (\n{_LAST_SEMICOLON.sub('', sql)}\n)")
    except duckdb.Error as error:
        if exhausted(error):
            raise
        raise complaint(project, error, lines_before=1) from (None if quotes_a_person(project, error) else error)
    finally:
        connection.execute("SET search_path = 'main'")
    return target


def _check_columns(project: Project, types: dict[str, str]) -> None:
    base = project.datasets[project.features.base]
    carried = (*base.key, base.event_time)
    for name in carried:
        if name not in types:
            raise sql_error(
                project, f"column {name!r} of the base dataset is not selected", f"select {name} beside the features", key=name
            )
    if not types[base.event_time].startswith("TIMESTAMP"):
        reason = f"event time {base.event_time!r} comes out as {types[base.event_time]}"
        raise column_error(project, base.event_time, reason, f"select it from {project.features.base} unchanged")
    for name, column in project.features.columns.items():
        if name not in types:
            fix = f"select it, or remove features.columns.{name} from project.toml"
            raise sql_error(project, f"feature {name!r} is declared but not selected", fix, key=name)
        _check_type(project, name, column, types[name])
    for name in types:
        if name not in project.features.columns and name not in carried:
            fix = f"declare it as features.columns.{name} in project.toml, or do not select it"
            raise column_error(project, name, f"column {name!r} is selected but not declared", fix)


def _check_type(project: Project, name: str, column: FeatureColumn, found: str) -> None:
    if column.type in ("number", "integer"):
        fits, wish = _NUMERIC.match(found) is not None, "DOUBLE"
    elif column.type == "boolean":
        fits, wish = found == "BOOLEAN", "BOOLEAN"
    else:
        fits, wish = found == "VARCHAR" or found.startswith("ENUM"), "VARCHAR"
    if not fits and found != '"NULL"':
        reason = f"feature {name!r} is declared as {column.type} but the SQL yields {found}"
        raise column_error(project, name, reason, f"write CAST(… AS {wish}) AS {name}, or change its type in project.toml")


def _typed(project: Project, name: str, column: FeatureColumn, found: str) -> str:
    if column.type == "boolean":
        return f"CAST({quoted(name)} AS BOOLEAN)"
    if column.type == "category":
        return f"CAST({quoted(name)} AS VARCHAR)"
    number = f"CAST({quoted(name)} AS DOUBLE)"
    return f"CASE WHEN isnan({number}) THEN NULL ELSE {number} END" if found in ("FLOAT", "DOUBLE") else number


def _check_rows(connection: Any, project: Project) -> None:
    """Each row of the base dataset exactly once, with its own event time."""
    name = project.features.base
    dataset = project.datasets[name]
    keys = ", ".join(quoted(column) for column in dataset.key)
    counted = f"SELECT {keys}, count(*) AS _count FROM features GROUP BY {keys}"
    found = f"SELECT count(*), sum(_count), min(({keys})::VARCHAR) FROM ({counted}) WHERE _count > 1"
    repeated = connection.execute(found).fetchone()
    personal = any(dataset.columns[column].pii for column in dataset.key)
    if repeated[0]:
        shown = "" if personal else f", for example {repeated[2]}"
        reason = f"{repeated[0]} rows of {name!r} come out more than once ({repeated[1]} rows in all{shown})"
        raise sql_error(project, reason, "join at most one row to each base row: ASOF JOIN, or aggregate before joining")
    joined = " AND ".join(
        f"f.{quoted(column)} IS NOT DISTINCT FROM b.{quoted(column)}"
        for column in dict.fromkeys((*dataset.key, dataset.event_time))
    )
    for left, right, reason, fix in (
        (f"{rows_table(name)} b", "features f", f"rows of {name!r} are missing", "use LEFT JOIN, and no WHERE that drops rows"),
        (
            "features f",
            f"{rows_table(name)} b",
            f"rows have a key or event time that {name!r} has not",
            f"select both from {name} unchanged",
        ),
    ):
        count = scalar(connection, f"SELECT count(*) FROM {left} ANTI JOIN {right} ON {joined}")
        if count:
            raise sql_error(project, f"{count} {reason}", fix)


def _check_values(connection: Any, project: Project) -> None:
    for name, column in project.features.columns.items():
        value = quoted(name)
        wrong: list[tuple[str, str, str]] = []
        if not column.nullable:
            fix = f"set nullable = true for features.columns.{name}, or COALESCE it in the SQL"
            wrong.append((f"{value} IS NULL", "is null but not nullable", fix))
        if column.type == "integer":
            wrong.append((f"{value} <> round({value})", "is not whole", f'declare features.columns.{name} as type = "number"'))
        if column.type in ("number", "integer"):
            low, high = column.range or (None, None)
            wrong.append((f"isinf({value})", "is infinite", "guard the division or logarithm in the SQL"))
            fix = f"widen features.columns.{name}.range, or clip the value in the SQL"
            wrong += [(f"{value} < {literal(low)}", f"is below {low}", fix)] if low is not None else []
            wrong += [(f"{value} > {literal(high)}", f"is above {high}", fix)] if high is not None else []
        if column.allowed is not None:
            fix = f"add the value to features.columns.{name}.allowed, or map it in the SQL"
            wrong.append((f"{value} NOT IN ({literals(column.allowed)})", "is not among the allowed values", fix))
        for condition, reason, remedy in wrong:
            count, example = connection.execute(f"SELECT count(*), min({value}) FROM features WHERE {condition}").fetchone()
            if count:
                shown = "" if column.pii or example is None else f" (for example {example!r})"
                raise column_error(project, name, f"feature {name!r} {reason} in {count} rows{shown}", remedy)
