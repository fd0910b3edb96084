"""Every file, module and function that the documentation names exists, and the list of packages is complete."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.architecture.test_direction import LEVELS
from tests.unit.docs.pages import LIBRARY, PAGES, ROOT, file_named, name_of, quoted, unknown_names


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_named_files_modules_and_functions_exist(path: Path) -> None:
    assert unknown_names(path.read_text()) == []


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("see `driftless.serving.planted`", "driftless.serving.planted"),
        ("see `driftless.serving.labels.planted`", "driftless.serving.labels.planted"),
        ("in `serving/planted.py`", "serving/planted.py"),
        ("in `infra/planted/`", "infra/planted/"),
        ("in `lambdas/<function>/planted.py`", "lambdas/<function>/planted.py"),
        ("in `serving/labels.py` `planted()`", "planted() in layers/shared/python/driftless/serving/labels.py"),
        (
            "in `serving/labels.py` `AcceptLabels.planted()`",
            "AcceptLabels.planted() in layers/shared/python/driftless/serving/labels.py",
        ),
        ("`AcceptLabels()` alone", "AcceptLabels() in no file"),
        ("in `serving/labels.py`\n\n`AcceptLabels()`", "AcceptLabels() in no file"),
        ("| a | `serving/labels.py` |\n| b | `AcceptLabels()` |", "AcceptLabels() in no file"),
    ],
)
def test_a_planted_name_is_found(text: str, unknown: str) -> None:
    assert unknown_names(text) == [unknown]


@pytest.mark.parametrize(
    "text",
    [
        "`driftless.serving.labels`, `driftless.serving.labels.AcceptLabels` and `driftless.errors`",
        "in `serving/labels.py` the class\n`AcceptLabels()` and its `AcceptLabels.__call__()`",
        "`lambdas/<function>/handler.py`, `step_functions/*.asl.json`, `infra/`",
        "the keys `serving/<project>/endpoint.json` and `models/<project>/<version>/`, the URL `https://x/y.py`",
        "```\n`serving/planted.py`\n```\n",
    ],
)
def test_what_exists_and_what_is_no_name_passes(text: str) -> None:
    assert unknown_names(text) == []


def test_the_list_of_packages_is_the_librarys() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    (table,) = re.findall(r"\| package \| what it holds \|\n\|---\|---\|\n((?:\|.*\n)+)", text)
    packages = {path.parent.name if path.name == "__init__.py" else path.stem for path in LIBRARY.glob("*/__init__.py")}
    modules = {path.stem for path in LIBRARY.glob("*.py")} - {"__init__"}
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == sorted(packages | modules)


def test_the_diagram_shows_the_levels_that_are_tested() -> None:
    """A package stands on no line below one of a lower level, and the lowest levels read from left to right."""
    text = (ROOT / "docs/architecture.md").read_text()
    diagram = text.split("## Levels of the library\n\n```\n")[1].split("```")[0].splitlines()
    places = {
        name: next((line, text.index(name)) for line, text in enumerate(diagram) if re.search(rf"\b{name}\b", text))
        for level in LEVELS
        for name in level
    }
    for lower, higher in pairwise(LEVELS):
        assert max(places[name][0] for name in higher) <= min(places[name][0] for name in lower)
    lowest = [min(places[name] for name in level) for level in LEVELS[:3]]
    assert [column for _, column in lowest] == sorted((column for _, column in lowest), reverse=True)


def test_the_table_of_steps_names_every_function() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    (table,) = re.findall(r"\| function \| step \| .*\n\|---\|---\|---\|\n((?:\|.*\n)+)", text)
    assert sorted(re.findall(r"^\| (\w+) \|", table, flags=re.MULTILINE)) == sorted(
        path.parent.name for path in ROOT.glob("lambdas/*/handler.py")
    )


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_named_python_modules_can_be_run(path: Path) -> None:
    modules = re.findall(r"python -m (\w+(?:\.\w+)*)", path.read_text())
    ours = [name for name in modules if name not in ("pytest", "venv")]
    missing = [
        name
        for name in ours
        if not file_named(f"{name.replace('.', '/')}.py") and not file_named(f"{name.replace('.', '/')}/__main__.py")
    ]
    assert missing == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_named_test_files_exist(path: Path) -> None:
    text = path.read_text()
    named = re.findall(r"\b(tests/[\w/.-]+)", text)
    assert [name for name in named if not file_named(name.rstrip("."))] == []


def moved(text: str) -> list[tuple[list[str], list[str]]]:
    """Old and new places of modules in the changelog's table; a row that begins with words has no old file."""
    (table,) = re.findall(r"\| old \| new \|\n\|---\|---\|\n((?:\|.*\n)+)", text)
    rows = [[quoted(cell) for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [(old, new) for old, new in rows]


def test_the_changelog_names_where_modules_are_and_were() -> None:
    rows = moved((ROOT / "CHANGELOG.md").read_text())
    assert len(rows) > 40
    assert [name for _, new in rows for name in new if not any(LIBRARY.glob(name))] == []
    assert [name for old, new in rows for name in old if any(LIBRARY.glob(name)) and name not in new] == []
