"""The project's expectations as SQL over ``raw``: typed values, and per row the names of the checks it breaks.

Null breaks only ``not_null``; it satisfies ranges, allowed values, patterns and rules. A duplicate is a row whose key columns
(null equals null) equal those of a later row of the same file that breaks no other check. The last good row counts, within a
file as among files: a correction replaces the earlier row, and a bad row replaces nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import duckdb

from driftless.core.clock import utc_now
from driftless.core.duckdb import data_message, exhausted, first_line, literal, literals, quoted
from driftless.definition.datasets import Column, Dataset
from driftless.definition.project import Project
from driftless.errors import BadProject

Level = Literal["warn", "quarantine", "fail"]

_INTEGER = r"[+-]?\d+(\.0*)?"
_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"


@dataclass(frozen=True)
class Check:
    """One expectation: ``broken`` is SQL over the row ``raw r JOIN typed t``, true where the row breaks it.

    ``column`` is the column it checks, for examples; None for checks over the whole row. ``key`` is the key in project.toml
    that declares the rule, empty for checks that follow from a column.
    """

    name: str
    level: Level
    broken: str
    column: str | None = None
    key: str = ""


def create_typed(connection: Any, dataset: Dataset) -> None:
    """Fill ``typed`` with the values of ``raw`` in their declared types; null where a text cannot be cast."""
    wanted = ", ".join(f"{_cast(name, column)} AS {quoted(name)}" for name, column in dataset.columns.items())
    connection.execute(f"CREATE TABLE typed AS SELECT _source_row, {wanted} FROM raw ORDER BY _source_row")


def _cast(name: str, column: Column) -> str:
    value = quoted(name)
    if column.type == "integer":
        return f"CASE WHEN regexp_full_match({value}, {literal(_INTEGER)}) THEN TRY_CAST({value} AS BIGINT) END"
    if column.type == "number":
        double = f"TRY_CAST({value} AS DOUBLE)"
        return f"CASE WHEN regexp_full_match({value}, {literal(_NUMBER)}) AND isfinite({double}) THEN {double} END"
    if column.type == "boolean":
        yes, no = literals(("true", "t", "yes", "y", "1")), literals(("false", "f", "no", "n", "0"))
        return f"CASE WHEN lower({value}) IN ({yes}) THEN true WHEN lower({value}) IN ({no}) THEN false END"
    if column.type == "timestamp":
        moment = f"CAST(TRY_CAST({value} AS TIMESTAMPTZ) AS TIMESTAMP)"
        return f"CASE WHEN isfinite({moment}) AND year({moment}) BETWEEN 1 AND 9999 THEN {moment} END"
    return value


def checks(connection: Any, project: Project, name: str, now: datetime) -> list[Check]:
    """Every check of single rows, columns first and in their order; event times may lie ``ahead_hours`` after ``now``.

    Raises
    ------
    BadProject
        When a pattern or a rule is not valid SQL over the dataset's columns.
    """
    dataset = project.datasets[name]
    found: list[Check] = []
    for column_name, column in dataset.columns.items():
        found += _column_checks(column_name, column, timed=column_name == dataset.event_time)
        if column_name == dataset.event_time:
            latest = _naive_utc(now) + timedelta(hours=dataset.ahead_hours)
            ahead = f"(t.{quoted(column_name)} > TIMESTAMP {literal(latest.isoformat(sep=' '))})"
            found.append(Check(f"{column_name}.too_far_ahead", _strict(column.level), ahead, column_name))
    for position, rule in enumerate(dataset.rules):
        broken = f"coalesce(NOT ({rule.sql}), false)"
        key = f"datasets.{name}.rules.{position}.sql"
        _probe(connection, project, f"SELECT {broken} FROM typed LIMIT 0", key)
        inside = f"r._source_row IN (SELECT _source_row FROM typed WHERE {broken})"
        found.append(Check(rule.name, rule.level, inside, key=key))
    for column_name, column in dataset.columns.items():
        if column.pattern is not None:
            query = f"SELECT regexp_matches('', {literal(column.pattern)})"
            _probe(connection, project, query, f"datasets.{name}.columns.{column_name}.pattern")
    return found


def check_definition(connection: Any, project: Project, name: str) -> None:
    """Bind a dataset's patterns and rules to its declared columns, without any data.

    Raises
    ------
    BadProject
        As of :func:`checks`.
    """
    columns = ", ".join(f"{quoted(column)} VARCHAR" for column in project.datasets[name].columns)
    connection.execute(f"CREATE TABLE raw (_source_row BIGINT, {columns})")
    create_typed(connection, project.datasets[name])
    checks(connection, project, name, utc_now())


def _column_checks(name: str, column: Column, *, timed: bool) -> list[Check]:
    raw, value = f"r.{quoted(name)}", f"t.{quoted(name)}"
    # A row without its event time, or without the value of a column that is not nullable, cannot be kept.
    strict = _strict(column.level) if timed or not column.nullable else column.level
    found = []
    if column.type != "string":
        found.append(Check(f"{name}.type", strict, f"({raw} IS NOT NULL AND {value} IS NULL)", name))
    if timed or not column.nullable:
        found.append(Check(f"{name}.not_null", strict, f"({raw} IS NULL)", name))
    if column.range is not None:
        low, high = column.range
        bounds = [f"{value} < {literal(low)}"] if low is not None else []
        bounds += [f"{value} > {literal(high)}"] if high is not None else []
        if bounds:
            found.append(Check(f"{name}.range", column.level, f"({' OR '.join(bounds)})", name))
    if column.allowed is not None:
        found.append(Check(f"{name}.allowed", column.level, f"({value} NOT IN ({literals(column.allowed)}))", name))
    if column.pattern is not None:
        found.append(Check(f"{name}.pattern", column.level, f"(NOT regexp_matches({value}, {literal(column.pattern)}))", name))
    return found


def _strict(level: Level) -> Level:
    return "quarantine" if level == "warn" else level


def _naive_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _probe(connection: Any, project: Project, query: str, key: str) -> None:
    try:
        connection.execute(query)
    except duckdb.Error as error:
        if exhausted(error):
            raise
        fix = "write a predicate over the dataset's columns in DuckDB SQL, or an RE2 pattern"
        raise project.wrong(key, first_line(error), fix) from error


def judge(connection: Any, project: Project, single: list[Check], dataset: Dataset) -> list[tuple[Check, int]]:
    """Fill ``judged(_source_row, reasons, kept)`` with the rows that break a check; return each check and its broken rows.

    Keys are compared last, among the rows that pass every check of single rows.

    Raises
    ------
    BadProject
        When evaluating a rule on a row fails, as a cast may.
    """
    flags = "".join(f", coalesce({check.broken}, false) AS b{position}" for position, check in enumerate(single))
    good = "".join(f" AND NOT singly.b{position}" for position, check in enumerate(single) if check.level != "warn")
    keys = ", ".join(f"t.{quoted(name)}" for name in dataset.key)
    readable = " AND ".join(f"(r.{quoted(name)} IS NULL OR t.{quoted(name)} IS NOT NULL)" for name in dataset.key)
    rows = "raw r JOIN typed t USING (_source_row)"
    try:
        connection.execute(f"CREATE TABLE singly AS SELECT r._source_row{flags} FROM {rows}")
    except duckdb.Error as error:
        if exhausted(error):
            raise
        raise _failing_rule(connection, project, single, dataset, error) from None
    connection.execute(
        f"CREATE TABLE repeated AS SELECT _source_row FROM {rows} JOIN singly USING (_source_row) WHERE {readable}{good} "
        f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY _source_row DESC) > 1"
    )
    connection.execute(
        f"CREATE VIEW flags AS SELECT *, _source_row IN (SELECT _source_row FROM repeated) AS b{len(single)} FROM singly"
    )
    found = [*single, Check("unique_key", "quarantine", "")]
    counts = ", ".join(f"count(*) FILTER (WHERE b{position})" for position in range(len(found)))
    named = ", ".join(f"CASE WHEN b{position} THEN {literal(check.name)} END" for position, check in enumerate(found))
    serious = [f"b{position}" for position, check in enumerate(found) if check.level != "warn"]
    broken = " OR ".join(f"b{position}" for position in range(len(found)))
    connection.execute(
        f"CREATE TABLE judged AS SELECT _source_row, list_filter([{named}], lambda n: n IS NOT NULL) AS reasons, "
        f"NOT ({' OR '.join(serious)}) AS kept FROM flags WHERE {broken}"
    )
    row = connection.execute(f"SELECT {counts} FROM flags").fetchone()
    return [(check, int(count)) for check, count in zip(found, row or (), strict=True)]


def _failing_rule(
    connection: Any, project: Project, single: list[Check], dataset: Dataset, error: duckdb.Error
) -> BadProject | duckdb.Error:
    """The error of the rule that cannot be evaluated on every row; ``error`` itself when no rule fails."""
    for check in (check for check in single if check.key):
        try:
            connection.execute(f"SELECT count(*) FROM raw r JOIN typed t USING (_source_row) WHERE {check.broken}")
        except duckdb.Error as cause:
            personal = any(column.pii for column in dataset.columns.values())
            fix = "write it so that it holds or not for every row, for example with TRY_CAST"
            return project.wrong(check.key, f"it fails on a row: {data_message(cause, personal=personal)}", fix)
    return error


def examples(connection: Any, check: Check, position: int, dataset: Dataset) -> list[str]:
    """Up to five rows that break a check; the value is shown unless its column is personal."""
    column = check.column
    shown = f"r.{quoted(column)}" if column is not None and not dataset.columns[column].pii else "NULL"
    broken = f"flags JOIN raw r USING (_source_row) WHERE flags.b{position}"
    rows = connection.execute(f"SELECT _source_row, left({shown}, 80) FROM {broken} ORDER BY 1 LIMIT 5").fetchall()
    return [f"row {number}" if value is None else f"row {number}: {repr(value)[:80]}" for number, value in rows]
