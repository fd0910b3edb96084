"""Every mistake in project.toml is answered with the file, the line, the key, the reason and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftless.errors import BadProject
from driftless.project import Project, load, load_all
from tests.unit.flights_lake import PROJECTS
from tests.unit.small_shop import SQL, TOML, shop


def line_of(text: str, start: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if line.startswith(start))


# What is replaced, by what, the key, where the line starts that is named, the reason, and the fix.
MISTAKES = [
    ('task = "binary"', 'task = "binari"', "task", "task", "'binary'", "value of that form"),
    ('title = "Orders that are paid"\n', "", "title", None, "required and missing", "add title"),
    ("holdout_days = 5", "holdout_day = 5", "split.holdout_day", "holdout_day", "no such key", 'did you mean "holdout_days"?'),
    ("holdout_days = 5", "holdout_days = -5", "split.holdout_days", "holdout_days", "greater than 0 (got -5)", "that form"),
    ("holdout_days = 5", 'holdout_days = "a few"', "split.holdout_days", "holdout_days", "got 'a few'", "that form"),
    ('base = "orders"', 'base = "order"', "features.base", "base", "names dataset 'order'", "orders, prices"),
    ('primary = "log_loss"', 'primary = "mae"', "gates.primary", "primary", "'mae' does not exist for task binary", "log_loss"),
    ('name = "is_paid"', 'name = "price"', "target.name", 'name = "price"', "is also a feature", "another name"),
    ('key = ["id"]', 'key = ["ident"]', "datasets.orders", "[datasets.orders]", "'ident' is named as event_time or key", "holds"),
    (
        'event_time = "made_at"',
        'event_time = "price"',
        "datasets.orders",
        "[datasets.orders]",
        "event_time column 'price' must have type timestamp",
        "holds",
    ),
    (
        'size = { type = "string" }\npaid',
        'size = { type = "text" }\npaid',
        "datasets.orders.columns.size.type",
        "size",
        "got 'text'",
        "that form",
    ),
    (
        'price = { type = "number", nullable = true }',
        'price = { type = "number", nullable = true, range = [5, 1] }',
        "datasets.orders.columns.price",
        "price",
        "range [5.0, 1.0] is empty",
        "holds",
    ),
]


@pytest.mark.parametrize(("old", "new", "key", "line", "reason", "fix"), MISTAKES)
def test_a_mistake_names_line_key_reason_and_fix(
    tmp_path: Path, old: str, new: str, key: str, line: str | None, reason: str, fix: str
) -> None:
    with pytest.raises(BadProject) as caught:
        shop(tmp_path, toml={old: new})
    error = caught.value
    text = TOML.replace(old, new, 1)
    assert error.file == "projects/shop/project.toml"
    assert error.key == key
    assert error.line == (None if line is None else line_of(text, line))
    assert reason in error.reason
    assert fix in error.fix
    assert str(error).startswith("projects/shop/project.toml")


def write(folder: Path, toml: bytes) -> Path:
    target = folder / "shop"
    target.mkdir()
    (target / "project.toml").write_bytes(toml)
    (target / "features.sql").write_text(SQL, encoding="utf-8")
    return target


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(BadProject, match="not valid TOML") as caught:
        load(write(tmp_path, TOML.replace("holdout_days = 5", "holdout_days = ").encode()))
    assert caught.value.line == line_of(TOML, "holdout_days")


def test_a_file_that_is_no_utf8_or_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadProject, match="not UTF-8"):
        load(write(tmp_path, TOML.replace("Orders", "Aufträge").encode("latin-1")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadProject, match=r"projects/empty/project.toml: the file does not exist"):
        load(tmp_path / "empty")


def test_a_folder_of_another_name_and_missing_sql_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path, TOML.encode()).rename(tmp_path / "store")
    with pytest.raises(BadProject, match="differs from its folder") as caught:
        load(folder)
    assert (caught.value.key, caught.value.fix) == ("name", 'write name = "store" or rename the folder')
    folder = folder.rename(tmp_path / "shop")
    (folder / "features.sql").unlink()
    with pytest.raises(BadProject, match=r"features\.sql does not exist"):
        load(folder)


def test_the_digest_follows_definition_and_sql(tmp_path: Path) -> None:
    def digest(name: str, project: Project) -> str:
        assert project.name == "shop", name
        return project.features_digest

    first = digest("a", shop(tmp_path / "a"))
    assert digest("b", shop(tmp_path / "b")) == first
    assert digest("c", shop(tmp_path / "c", sql={"market's": "market"})) != first
    assert digest("d", shop(tmp_path / "d", toml={"holdout_days = 5": "holdout_days = 6"})) != first


def test_every_folder_is_a_project_and_the_built_in_one_loads(tmp_path: Path) -> None:
    shop(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    assert [*load_all(tmp_path)] == ["shop"]
    flights = load_all(PROJECTS)["flights"]
    assert flights.task == "binary" and set(flights.datasets) == {"flights", "weather"}


@pytest.mark.parametrize("name", ["health", "docs"])
def test_a_name_that_is_a_route_of_the_api_is_refused(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, TOML.replace('name = "shop"', f'name = "{name}"', 1).encode()).rename(tmp_path / name)
    with pytest.raises(BadProject, match="is a route of the API itself") as caught:
        load(folder)
    assert caught.value.key == "name" and caught.value.line == line_of(TOML, "name")
