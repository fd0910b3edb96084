"""Three statistical tests for leaks, all in SQL: silence, strength and copies.

The bounds are higher than honest features reach: flight distance explains 98 % of the time in the air and passes, and a single
honest column may reach an AUC of 0.9. To exempt an honest feature, write the reason into its ``reviewed``.
"""

from __future__ import annotations

from typing import Any

from driftless.core.duckdb import literal, quoted
from driftless.data.features.tables import outcome_columns, rows_table
from driftless.data.leakage.finding import Finding
from driftless.definition.project import Project

_ROWS = 50_000
_SILENT_ROWS = 20
_SILENT_PRECISION = 0.95
_SILENT_COVERAGE = 0.5
_BINS = 100
_EARLIER = 0.7
_STRONG_ROWS = 100
_STRONG_AUC = 0.97
_STRONG_R2 = 0.97
_COPY_ROWS = 50
_COPY_VALUES = 10
_COPY_R2 = 0.995
_COPY_EQUAL = 0.995
_COPY_MAJORITY = 0.9


def _suspects(project: Project) -> list[str]:
    return [name for name, column in project.features.columns.items() if not column.reviewed]


def silence(connection: Any, project: Project) -> Finding | None:
    """A value that marks the rows whose label, though due, was never observed.

    A cancelled flight has no arrival delay and no departure time: a feature that is null (or 0, or -1) there reveals it.
    """
    target = quoted(project.target.name)
    rows, silent = connection.execute(
        f"SELECT count(*), count(*) FILTER (WHERE {target} IS NULL) FROM labelled WHERE _observable"
    ).fetchone()
    if silent < _SILENT_ROWS or silent > 0.5 * rows:
        return None
    for name in _suspects(project):
        row = connection.execute(
            f"SELECT {quoted(name)} AS v, count(*) AS n, count(*) FILTER (WHERE {target} IS NULL) AS s FROM labelled "
            f"WHERE _observable GROUP BY v HAVING n >= {_SILENT_ROWS} AND s >= {_SILENT_PRECISION} * n "
            f"AND s >= {_SILENT_COVERAGE * silent} ORDER BY s DESC LIMIT 1"
        ).fetchone()
        if row is not None:
            value = "null" if row[0] is None else "one single value"
            return Finding(
                name,
                f"it is {value} in {row[1]} rows, {row[2]} of them without a label; of all {rows} rows only {silent} lack one",
                'mark the column it comes from as known = "after", or leave it out',
            )
    return None


def strength(connection: Any, project: Project) -> Finding | None:
    """A feature whose target means per bin, fitted on earlier rows, rank or explain later rows almost perfectly."""
    target = quoted(project.target.name)
    if project.task == "multiclass":
        outcomes = [f"CAST({target} = {literal(name)} AS DOUBLE)" for name in project.target.classes or ()]
    else:
        outcomes = [f"CAST({target} AS DOUBLE)"]
    measure, bound = ("R²", _STRONG_R2) if project.task == "regression" else ("AUC", _STRONG_AUC)
    for name in _suspects(project):
        numeric = project.features.columns[name].type in ("number", "integer")
        for outcome in outcomes:
            value = _strength(connection, quoted(name), outcome, numeric=numeric, task=project.task)
            if value is not None and value >= bound:
                return Finding(
                    name,
                    f"alone, fitted on earlier rows, it reaches {measure} {value:.3f} on later rows (bound {bound})",
                    'mark the column it comes from as known = "after"; if it is honest, say why in '
                    f"features.columns.{name}.reviewed",
                )
    return None


def _strength(connection: Any, value: str, outcome: str, *, numeric: bool, task: str) -> float | None:
    # Equal values share a bin; null has a bin of its own.
    binned = f"CAST(floor({_BINS} * percent_rank() OVER (ORDER BY {value})) AS VARCHAR)" if numeric else value
    binned = f"CASE WHEN {value} IS NOT NULL THEN {binned} END"
    early = f"percent_rank() OVER (ORDER BY _position) < {_EARLIER}"
    means = "(coalesce(sum(y) FILTER (WHERE early), 0) + 5 * any_value(prior)) / (count(*) FILTER (WHERE early) + 5)"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE bins AS WITH rows AS (SELECT {outcome} AS y, {binned} AS bin, {early} AS early "
        f"FROM labelled WHERE {outcome} IS NOT NULL AND {_sampled()}), "
        "means AS (SELECT avg(y) AS prior FROM rows WHERE early) "
        f"SELECT {means} AS score, count(*) FILTER (WHERE NOT early) AS n, coalesce(sum(y) FILTER (WHERE NOT early), 0) AS s, "
        "coalesce(sum(y * y) FILTER (WHERE NOT early), 0) AS q FROM rows, means GROUP BY bin"
    )
    if task == "regression":
        query = (
            f"SELECT CASE WHEN sum(n) >= {_STRONG_ROWS} AND sum(q) - sum(s) ^ 2 / sum(n) > 0 THEN "
            "1 - sum(q - 2 * score * s + n * score ^ 2) / (sum(q) - sum(s) ^ 2 / sum(n)) END FROM bins"
        )
    else:
        query = (
            "WITH scores AS (SELECT score, sum(s) AS p, sum(n - s) AS m FROM bins GROUP BY score), "
            "below AS (SELECT p, m, sum(m) OVER (ORDER BY score) - m AS lower FROM scores) "
            f"SELECT CASE WHEN sum(p) >= {_STRONG_ROWS / 2} AND sum(m) >= {_STRONG_ROWS / 2} THEN "
            "sum(p * (lower + m / 2)) / (sum(p) * sum(m)) END FROM below"
        )
    row = connection.execute(query).fetchone()
    return None if row is None or row[0] is None else float(row[0])


def copies(connection: Any, project: Project) -> Finding | None:
    """A feature that copies an outcome column: rescaled, shifted, otherwise monotone, or the same text."""
    base = project.datasets[project.features.base]
    outcomes = outcome_columns(base)
    suspects = _suspects(project)
    if not outcomes or not suspects:
        return None
    keys = " AND ".join(f"f.{quoted(name)} IS NOT DISTINCT FROM b.{quoted(name)}" for name in base.key)
    shown = [f"f.{quoted(name)} AS f{at}" for at, name in enumerate(suspects)]
    shown += [f"{_comparable(base.columns[name].type, f'b.{quoted(name)}')} AS o{at}" for at, name in enumerate(outcomes)]
    joined = f"labelled f JOIN {rows_table(project.features.base)} b ON {keys}"
    features = [f"f{at}" for at, name in enumerate(suspects) if project.features.columns[name].type in ("number", "integer")]
    numbers = [f"o{at}" for at, name in enumerate(outcomes) if base.columns[name].type in ("integer", "number", "timestamp")]
    ranks = "".join(
        f", CASE WHEN {name} IS NOT NULL THEN rank() OVER (ORDER BY {name}) END AS r{name}" for name in features + numbers
    )
    rows = f"SELECT {', '.join(shown)} FROM {joined} WHERE {_sampled('f.')}"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE pairs AS SELECT *{ranks} FROM ({rows})")
    for at, name in enumerate(suspects):
        for other, outcome in enumerate(outcomes):
            judge = _monotone if f"f{at}" in features and f"o{other}" in numbers else _equal
            evidence = judge(connection, f"f{at}", f"o{other}")
            if evidence is not None:
                return Finding(
                    name,
                    f"it {evidence} outcome column {outcome!r}",
                    'mark the column it comes from as known = "after"; if it is honest, say why in '
                    f"features.columns.{name}.reviewed",
                )
    return None


def _comparable(kind: str, value: str) -> str:
    return f"epoch_us({value})" if kind == "timestamp" else value


def _monotone(connection: Any, feature: str, outcome: str) -> str | None:
    x, y = f"CAST({feature} AS DOUBLE)", f"CAST({outcome} AS DOUBLE)"
    row = connection.execute(
        f"SELECT count(*), least(approx_count_distinct({feature}), approx_count_distinct({outcome})), corr({x}, {y}) ^ 2, "
        f"corr(r{feature}, r{outcome}) ^ 2 FROM pairs WHERE {feature} IS NOT NULL AND {outcome} IS NOT NULL"
    ).fetchone()
    rows, values, linear, ranks = row
    if rows < _COPY_ROWS or values < _COPY_VALUES:
        return None
    best = max(found for found in (linear, ranks, 0.0) if found is not None)
    return f"explains {best:.2%} of" if best >= _COPY_R2 else None


def _equal(connection: Any, feature: str, outcome: str) -> str | None:
    rows, equal, majority = connection.execute(
        f"WITH texts AS (SELECT lower(trim({feature}::VARCHAR)) AS x, lower(trim({outcome}::VARCHAR)) AS y FROM pairs "
        f"WHERE {feature} IS NOT NULL AND {outcome} IS NOT NULL) "
        "SELECT (SELECT count(*) FROM texts), (SELECT count(*) FROM texts WHERE x = y), "
        "(SELECT max(n) FROM (SELECT count(*) AS n FROM texts GROUP BY y))"
    ).fetchone()
    if rows < _COPY_ROWS or majority > _COPY_MAJORITY * rows:
        return None
    return f"equals in {equal} of {rows} rows" if equal >= _COPY_EQUAL * rows else None


def _sampled(prefix: str = "") -> str:
    """SQL that samples rows evenly in time, so that the check's cost is bounded."""
    return f"{prefix}_position % greatest(1, (SELECT count(*) // {_ROWS} FROM labelled)) = 0"
