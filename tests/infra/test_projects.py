"""What synth finds wrong with a project before anything is deployed: file, line, key, reason and fix."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from driftless.errors import BadProject, LeakageFound
from infra.composition import sources
from infra.projects import checked_projects
from infra.settings import for_stage
from tests.unit.flights_lake import PROJECTS
from tests.unit.small_shop import SQL, TOML, shop

ESTIMATOR = "LogisticRegression"

TOML_FILE, SQL_FILE = "projects/shop/project.toml", "projects/shop/features.sql"
# What is replaced in which file, by what, and then file, key, start of the line that is named, reason, and fix.
DEFINITIONS = {
    "an estimator nobody allows": (ESTIMATOR, "LogistRegression", "model.estimator", "estimator", "allowed", ESTIMATOR),
    "an argument it has not": (
        "max_iter =",
        "max_iters =",
        "model.parameters.max_iters",
        "max_iters",
        "no parameter",
        "max_iter",
    ),
    "a value it refuses": ("C = [1.0, 0.1", "C = [1.0, -0.1", "model.search.C", "C = ", "'C' parameter", "scikit-learn accepts"),
    "a target of no column": ('= "paid"', '= "payed"', "target.expression", "expression", "payed", "columns of"),
    "a rule of no column": (
        "[datasets.prices]",
        '[[datasets.orders.rules]]\nname = "cheap"\nsql = "cost < 5"\n\n[datasets.prices]',
        "datasets.orders.rules.0.sql",
        'sql = "cost',
        "cost",
        "predicate over",
    ),
    "a pattern of another dialect": (
        'size = { type = "string" }\npaid',
        'size = { type = "string", pattern = "(?<=a)b" }\npaid',
        "datasets.orders.columns.size.pattern",
        "size",
        "(?<",
        "RE2",
    ),
}
QUERIES = {
    "a column of no dataset": ("p.market\n", "p.markets\n", "", 2, "markets", "correct the SELECT"),
    "a table of no dataset": ("prices AS p", "price AS p", "", 4, "price", "datasets are visible"),
    "a syntax error": ("ASOF LEFT JOIN", "ASOF LEFT JION", "", 4, "syntax error", "correct the SELECT"),
    "no event time": ("o.made_at, ", "", "made_at", None, "is not selected", "select made_at"),
    "another event time": ("o.made_at, ", "o.made_at::DATE AS made_at, ", "made_at", 2, "comes out as DATE", "unchanged"),
    "no key": ("o.id, ", "", "id", None, "is not selected", "select id"),
    "a feature left out": (", p.market", "", "market", None, "declared but not selected", "features.columns.market"),
    "a feature too many": ("p.market\n", "p.market, 1 AS extra\n", "extra", 2, "not declared", "features.columns.extra"),
    "another type": ("o.price", "o.price::VARCHAR AS price", "price", 2, "the SQL yields VARCHAR", "CAST"),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_an_invalid_definition_fails_the_synth(tmp_path: Path, name: str) -> None:
    old, new, key, start, reason, fix = DEFINITIONS[name]
    shop(tmp_path, toml={old: new})
    with pytest.raises(BadProject) as caught:
        checked_projects(tmp_path)
    error = caught.value
    text = TOML.replace(old, new, 1)
    line = next(number for number, line in enumerate(text.splitlines(), start=1) if line.startswith(start))
    assert (error.file, error.key, error.line) == (TOML_FILE, key, line)
    assert reason in error.reason and fix in error.fix


@pytest.mark.parametrize("name", QUERIES)
def test_invalid_features_sql_fails_the_synth(tmp_path: Path, name: str) -> None:
    old, new, key, line, reason, fix = QUERIES[name]
    shop(tmp_path, sql={old: new})
    with pytest.raises(BadProject) as caught:
        checked_projects(tmp_path)
    error = caught.value
    assert (error.file, error.key, error.line) == (SQL_FILE, key, line)
    assert reason in error.reason and fix in error.fix


def test_blank_lines_and_a_last_semicolon_do_not_shift_the_line(tmp_path: Path) -> None:
    shop(tmp_path, sql="\n\n" + SQL.replace("p.market", "p.markets").rstrip() + ";\n")
    with pytest.raises(BadProject, match="markets") as caught:
        checked_projects(tmp_path)
    assert caught.value.line == 4


def test_a_comment_may_follow_the_last_semicolon(tmp_path: Path) -> None:
    shop(tmp_path, sql=SQL.rstrip() + "; -- one row an order\n")
    assert [*checked_projects(tmp_path)] == ["shop"]


def test_an_empty_projects_folder_fails(tmp_path: Path) -> None:
    with pytest.raises(BadProject, match=r"projects/: there is no project to deploy\. Fix: "):
        checked_projects(tmp_path)


def test_a_column_known_only_afterwards_fails_the_synth(tmp_path: Path) -> None:
    shop(tmp_path, sql=SQL.replace("p.market", "o.paid::INT AS market"))
    with pytest.raises(LeakageFound, match=r"projects/shop/features\.sql reads orders\.paid.*Fix: "):
        checked_projects(tmp_path)


def test_every_task_passes_and_the_elapsed_time_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop(tmp_path)
    shutil.copytree(PROJECTS / "flights", tmp_path / "flights")
    assert [*checked_projects(tmp_path)] == ["flights", "shop"]
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("projects: flights, shop, checked in ")


def test_a_wrong_project_stops_the_synth_before_anything_else(tmp_path: Path) -> None:
    shop(tmp_path / "projects", toml={"max_iter = 200": "max_iter = -1"})
    with pytest.raises(BadProject, match=r"project\.toml:\d+: model\.parameters\.max_iter: .* Fix: "):
        sources(tmp_path, for_stage("local", commit="0" * 40, alarm_email=None))
