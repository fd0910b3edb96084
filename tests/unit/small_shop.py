"""A small project whose rows a test writes by hand: orders, and whether they were paid a day later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from driftless.adapters.delta import DeltaTables
from driftless.core.duckdb import literal
from driftless.definition.lake_columns import stored_columns
from driftless.definition.loading import load
from driftless.definition.project import Project

TOML = """
name = "shop"
title = "Orders that are paid"
task = "binary"

[datasets.orders]
event_time = "made_at"
key = ["id"]

[datasets.orders.columns]
id = { type = "integer" }
made_at = { type = "timestamp" }
price = { type = "number", nullable = true }
size = { type = "string" }
paid = { type = "boolean", nullable = true, known = "after" }

[datasets.prices]
event_time = "seen_at"
key = ["size", "seen_at"]

[datasets.prices.columns]
size = { type = "string" }
seen_at = { type = "timestamp" }
market = { type = "number" }

[features]
base = "orders"

[features.columns]
price = { type = "number", nullable = true, range = [0, 100] }
size = { type = "category", allowed = ["S", "M"] }
market = { type = "number", nullable = true }

[target]
name = "is_paid"
expression = "paid"
label_delay_hours = 24

[split]
holdout_days = 5
train_days = 20
minimum_train_rows = 20
minimum_holdout_rows = 10

[model]
estimator = "sklearn.linear_model.LogisticRegression"
candidates = 3

[model.parameters]
max_iter = 200

[model.search]
C = [1.0, 0.1, 10.0]
fit_intercept = [true, false]

[gates]
primary = "log_loss"
"""
SQL = """-- the market's last price at or before the order
SELECT o.id, o.made_at, o.price, o.size, p.market
FROM orders AS o
ASOF LEFT JOIN prices AS p ON p.size = o.size AND o.made_at >= p.seen_at
"""
START = datetime(2026, 1, 1)
Row = tuple[object, ...]


def shop(folder: Path, *, toml: Mapping[str, str] | None = None, sql: Mapping[str, str] | str | None = None) -> Project:
    """The project, with texts replaced (each must be there) or another features SQL."""
    target = folder / "shop"
    target.mkdir(parents=True, exist_ok=True)
    texts = {"project.toml": TOML, "features.sql": sql if isinstance(sql, str) else SQL}
    changes = {"project.toml": toml or {}, "features.sql": {} if sql is None or isinstance(sql, str) else sql}
    for name in texts:
        text = texts[name]
        for old, new in changes[name].items():
            assert old in text, old
            text = text.replace(old, new, 1)
        (target / name).write_text(text, encoding="utf-8")
    return load(target)


def orders(count: int, *, first: int = 0, hours: float = 6.0) -> list[Row]:
    """One order every ``hours``; every third is unpaid."""
    return [
        (number, START + timedelta(hours=hours * number), number * 7 % 50 + 0.5, "SM"[number % 2], number % 3 != 0)
        for number in range(first, first + count)
    ]


def prices(days: int) -> list[Row]:
    """A market price a day and size."""
    return [(size, START + timedelta(days=day), day + 0.25) for day in range(days) for size in "SM"]


def parquet(path: Path, project: Project, dataset: str, rows: Sequence[Row]) -> Path:
    """Rows as validation stages them."""
    columns = [*project.datasets[dataset].columns]
    shown = ", ".join(
        f"CAST({name} AS TIMESTAMPTZ) AS {name}" if column.type == "timestamp" else name
        for name, column in project.datasets[dataset].columns.items()
    )
    values = ", ".join(f"({', '.join(literal(value) for value in row)})" for row in rows)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"COPY (SELECT {shown}, 'digest' AS _source, row_number() OVER () AS _source_row FROM (VALUES {values}) "
            f"AS v({', '.join(columns)})) TO '{path}' (FORMAT parquet)"
        )
    return path


def append(tables: DeltaTables, project: Project, dataset: str, rows: Sequence[Row], folder: Path, name: str) -> None:
    """Commit rows to a dataset's table."""
    tables.append(
        project.table(dataset),
        parquet(folder / f"{name}.parquet", project, dataset, rows),
        columns=stored_columns(project.datasets[dataset]),
        transaction=name,
        commit={},
    )
