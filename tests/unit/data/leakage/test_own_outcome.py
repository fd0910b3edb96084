"""Where labels come without delay, a row's own outcome is no history: not by the rule, and not around it."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from driftless.core.duckdb import engine
from driftless.data import features, leakage
from driftless.data.features.compute import compute
from driftless.data.features.tables import load
from driftless.data.features.target import add_target
from driftless.definition.project import Project
from driftless.errors import LeakageFound
from tests.unit.small_shop import Row, orders, parquet, prices, shop

RECENT = (
    "SELECT o.id, o.made_at, o.price, o.size, (SELECT avg(h.paid::INT) FROM orders_outcomes AS h "
    "WHERE h.{rule} <= o.made_at AND h.made_at > o.made_at - INTERVAL 13 HOUR) AS market FROM orders AS o"
)


def without_delay(folder: Path, sql: str) -> Project:
    return shop(folder, toml={"label_delay_hours = 24": "label_delay_hours = 0"}, sql=sql)


def drawn(count: int) -> list[Row]:
    """Orders whose outcome nothing can know: whatever goes with it has read it."""
    draw = random.Random(1)
    return [(*row[:4], draw.random() < 0.5) for row in orders(count)]


def files(folder: Path, project: Project, rows: list[Row]) -> dict[str, list[Path]]:
    return {
        "orders": [parquet(folder / "orders.parquet", project, "orders", rows)],
        "prices": [parquet(folder / "prices.parquet", project, "prices", prices(5))],
    }


def judge(project: Project, folder: Path) -> None:
    with engine(folder) as connection:
        load(connection, project, files(folder, project, drawn(400)))
        compute(connection, project)
        add_target(connection, project)
        leakage.check(connection, project)


def test_history_by_the_rule_holds_the_rows_before_and_not_the_row_itself(tmp_path: Path) -> None:
    project, rows = without_delay(tmp_path, RECENT.format(rule="known_at")), drawn(60)
    with features.build(project, files(tmp_path, project, rows)) as table:
        found = [row["market"] for row in table.rows()]
    paid = [bool(row[4]) for row in rows]
    assert found == [None, *(sum(paid[max(0, at - 2) : at]) / len(paid[max(0, at - 2) : at]) for at in range(1, 60))]


def test_an_order_of_the_same_instant_is_no_history_either(tmp_path: Path) -> None:
    project = without_delay(tmp_path, RECENT.format(rule="known_at"))
    first, second, *_ = drawn(2)
    twins = [first, (1, first[1], *second[2:])]
    later = (2, first[1] + timedelta(microseconds=1), *second[2:])  # type: ignore[operator]
    with features.build(project, files(tmp_path, project, [*twins, later])) as table:
        found = [row["market"] for row in table.rows()]
    assert found == [None, None, (bool(first[4]) + bool(second[4])) / 2]


def test_history_by_the_rule_passes_the_check(tmp_path: Path) -> None:
    judge(without_delay(tmp_path, RECENT.format(rule="known_at")), tmp_path)


def test_history_by_the_time_of_the_event_is_caught_by_the_rows_of_the_moment(tmp_path: Path) -> None:
    with pytest.raises(LeakageFound, match=r"feature 'market' .*hidden, 1 of \d+ rows up to then"):
        judge(without_delay(tmp_path, RECENT.format(rule="made_at")), tmp_path)


def test_a_few_outcomes_read_too_early_are_caught(tmp_path: Path) -> None:
    """Most of the moments say nothing here; there are enough of them."""
    rule = RECENT.format(rule="made_at").replace("AND h.made_at >", "AND (h.id % 5 < 2 OR h.id < o.id) AND h.made_at >")
    with pytest.raises(LeakageFound, match="feature 'market'"):
        judge(without_delay(tmp_path, rule), tmp_path)
