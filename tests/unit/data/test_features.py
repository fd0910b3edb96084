"""Features on a laptop: what the SQL may see, what it must yield, and that each mistake is named with its fix."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftless.data import features
from driftless.definition.project import Project
from driftless.errors import BadProject, LeakageFound, NotEnoughData, OutOfResources
from tests.unit.flights_lake import staged_files, variant
from tests.unit.small_shop import SQL, START, orders, parquet, prices, shop

Files = dict[str, list[Path]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    project = shop(tmp_path)
    return {
        "orders": [parquet(tmp_path / "orders.parquet", project, "orders", orders(40))],
        "prices": [parquet(tmp_path / "prices.parquet", project, "prices", prices(5))],
    }


def rows(project: Project, files: Files, as_of: datetime | None = None) -> list[dict[str, object]]:
    with features.build(project, files, as_of) as table:
        found = list(table.rows())
        assert len(table) == len(found)
    return found


def test_each_row_of_the_base_occurs_once_in_order_with_its_label_when_known(tmp_path: Path, files: Files) -> None:
    found = rows(shop(tmp_path), files)
    assert [*found[0]] == ["id", "made_at", "price", "size", "market", "is_paid"]
    assert [row["id"] for row in found] == list(range(40))
    assert found[3] == {
        "id": 3,
        "made_at": START + timedelta(hours=18),
        "price": 21.5,
        "size": "M",
        "market": 0.25,
        "is_paid": False,
    }
    # The last order was made six hours after the one before, a label takes twenty-four.
    assert [row["is_paid"] is None for row in found[-6:]] == [False, False, True, True, True, True]


def test_as_of_hides_labels_that_are_not_known_then_with_or_without_a_zone(tmp_path: Path, files: Files) -> None:
    moment = START + timedelta(days=3)
    for as_of in (moment, moment.replace(tzinfo=UTC)):
        known = [row["id"] for row in rows(shop(tmp_path), files, as_of) if row["is_paid"] is not None]
        assert known == list(range(9))


def test_rows_can_be_filtered_by_a_predicate(tmp_path: Path, files: Files) -> None:
    with features.build(shop(tmp_path), files) as table:
        found = list(table.rows("made_at >= ? AND size = ?", [START + timedelta(days=9), "S"]))
    assert [row["id"] for row in found] == [36, 38]


def test_outcomes_are_visible_with_the_time_they_were_known(tmp_path: Path, files: Files) -> None:
    sql = (
        "SELECT o.id, o.made_at, o.price, o.size, h.paid::INT AS market FROM orders AS o "
        "ASOF LEFT JOIN orders_outcomes AS h ON o.size = h.size AND o.made_at >= h.known_at"
    )
    found = rows(shop(tmp_path, sql=sql), files)
    assert [row["market"] for row in found[:8]] == [None, None, None, None, 0, 1, 1, 0]


MISTAKES = {
    "a column left out": (SQL.replace("o.price, ", ""), "feature 'price' is declared but not selected", "select it"),
    "a column too many": (
        SQL.replace("p.market", "p.market, 1 AS extra"),
        "column 'extra' is selected but not declared",
        "features.columns.extra",
    ),
    "no key": (SQL.replace("o.id, ", ""), "column 'id' of the base dataset is not selected", "select id"),
    "a wrong type": (
        SQL.replace("o.price", "o.size AS price").replace(" o.size,", " o.size,"),
        "declared as number but the SQL yields VARCHAR",
        "CAST",
    ),
    "rows twice": (SQL.replace("ASOF LEFT JOIN", "LEFT JOIN"), "rows of 'orders' come out more than once", "ASOF JOIN"),
    "rows missing": (
        SQL.replace("ASOF LEFT JOIN", "ASOF JOIN") + "WHERE o.id > 3",
        "4 rows of 'orders' are missing",
        "LEFT JOIN",
    ),
    "another time": (
        SQL.replace("o.made_at, o.price", "o.made_at + INTERVAL 1 HOUR AS made_at, o.price"),
        "rows of 'orders' are missing",
        "",
    ),
    "a null": (
        SQL.replace("o.size, p", "CASE WHEN o.id > 1 THEN o.size END AS size, p"),
        "feature 'size' is null but not nullable in 2 rows",
        "nullable = true",
    ),
    "out of range": (SQL.replace("o.price", "o.price * 10 AS price"), "feature 'price' is above 100.0 in", "widen"),
    "infinite": (SQL.replace("p.market", "'inf'::DOUBLE AS market"), "feature 'market' is infinite", "guard"),
    "not allowed": (
        SQL.replace("o.size, p", "'XL' AS size, p"),
        "feature 'size' is not among the allowed values in 40 rows (for example 'XL')",
        "allowed",
    ),
    "two statements": (SQL + "; SELECT 1", "2 statements", "exactly one SELECT"),
    "no select": ("DROP TABLE orders", "none that selects", "exactly one SELECT"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_features_sql_names_the_column_the_reason_and_the_fix(tmp_path: Path, files: Files, name: str) -> None:
    sql, reason, fix = MISTAKES[name]
    with pytest.raises(BadProject) as caught:
        rows(shop(tmp_path, sql=sql), files)
    assert caught.value.file == "projects/shop/features.sql"
    assert reason in caught.value.reason and fix in caught.value.fix


def test_an_error_of_the_engine_names_the_line(tmp_path: Path, files: Files) -> None:
    with pytest.raises(BadProject, match="colour") as caught:
        rows(shop(tmp_path, sql=SQL.replace("p.size = o.size", "p.colour = o.size")), files)
    assert caught.value.line == 4


def test_a_column_known_only_after_the_event_is_a_leak(tmp_path: Path, files: Files) -> None:
    with pytest.raises(LeakageFound, match=r"features.sql reads orders.paid, .* Fix: .*orders_outcomes"):
        rows(shop(tmp_path, sql=SQL.replace("p.market", "o.paid::INT AS market")), files)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({'expression = "paid"': 'expression = "payed"'}, "payed"),
        ({'expression = "paid"': "expression = \"size || 'x'\""}, "Could not convert"),
    ],
)
def test_a_wrong_target_names_its_key(tmp_path: Path, files: Files, change: dict[str, str], reason: str) -> None:
    with pytest.raises(BadProject, match=reason) as caught:
        rows(shop(tmp_path, toml=change), files)
    assert caught.value.key == "target.expression"


def test_personal_values_are_not_quoted(tmp_path: Path, files: Files) -> None:
    personal = {'size = { type = "category", allowed': 'size = { type = "category", pii = true, allowed'}
    with pytest.raises(BadProject) as caught:
        rows(shop(tmp_path, toml=personal, sql=SQL.replace("o.size, p", "'Ann' AS size, p")), files)
    assert "Ann" not in str(caught.value)


def test_a_conversion_that_fails_quotes_no_personal_value(tmp_path: Path, files: Files) -> None:
    """The error's text goes into logs and notifications, its cause into the log's traceback."""
    sql = SQL.replace("p.market", "('Ann ' || o.id)::DOUBLE AS market")
    with pytest.raises(BadProject, match="Ann "):
        rows(shop(tmp_path, sql=sql), files)
    for change in (
        {'market = { type = "number", nullable = true }': 'market = { type = "number", nullable = true, pii = true }'},
        {'id = { type = "integer" }': 'id = { type = "integer", pii = true }'},
    ):
        with pytest.raises(BadProject, match="Could not convert string … to DOUBLE") as caught:
            rows(shop(tmp_path, toml=change, sql=sql), files)
        assert "Ann" not in "".join(traceback.format_exception(caught.value))


def test_too_little_memory_is_not_reported_as_a_fault_of_the_sql(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "40")
    greedy = "(SELECT len(list(i))::DOUBLE FROM range(5000000) AS r(i)) AS market"
    with pytest.raises(OutOfResources):
        rows(shop(tmp_path, sql=SQL.replace("p.market", greedy)), files)


def test_a_dataset_without_files_is_not_enough_data(tmp_path: Path, files: Files) -> None:
    with pytest.raises(NotEnoughData, match="shop/prices has no data yet"):
        rows(shop(tmp_path), {"orders": files["orders"]})


def test_flights_as_a_laptop_builds_them(flights_csv: Callable[[int, int], dict[str, Path]], tmp_path: Path) -> None:
    csvs = flights_csv(1, 1)
    with features.build(variant(tmp_path), staged_files(csvs, tmp_path)) as table:
        assert len(table) == csvs["flights"].read_bytes().count(b"\n") - 1
        first = next(table.rows("origin = 'JFK' AND flight = 1141"))
    assert (first["late"], first["temp"], first["distance"]) == (True, 39.02, 1089.0)


TTL = {'key = ["size", "seen_at"]': 'key = ["size", "seen_at"]\nttl_hours = 36'}


@pytest.mark.parametrize("as_of", [None, START + timedelta(days=7)])
def test_a_reading_older_than_its_time_to_live_is_none(tmp_path: Path, files: Files, as_of: datetime | None) -> None:
    """Prices of the days 0, 1 and 4: those between are not stretched over the gap, nor is the last one for ever."""
    project = shop(tmp_path, toml=TTL)
    some = [row for row in prices(5) if row[1] in {START + timedelta(days=day) for day in (0, 1, 4)}]
    files = files | {"prices": [parquet(tmp_path / "some.parquet", project, "prices", some)]}
    hours = {row["made_at"]: row["market"] for row in rows(project, files, as_of)}
    found = {(made - START) / timedelta(hours=1): market for made, market in hours.items() if isinstance(made, datetime)}
    assert {hour: market for hour, market in found.items() if hour <= 168} == {
        hour: None if 60 <= hour < 96 or hour >= 132 else 0.25 if hour < 24 else 1.25 if hour < 96 else 4.25
        for hour in range(0, 169, 6)
    }


def test_a_time_to_live_adds_no_row_and_gives_history_no_look_ahead(tmp_path: Path, files: Files) -> None:
    project = shop(tmp_path, toml=TTL)
    whole = rows(project, files)
    assert [row["id"] for row in whole] == list(range(40))
    for day in (1, 3, 6):
        moment = START + timedelta(days=day)
        then = [(row["id"], row["market"]) for row in rows(project, files, moment)]
        now = [(row["id"], row["market"]) for row in whole]
        assert then == now[: len(then)]
