"""Commands import what they share, and never each other; the demo may use both.

One module alone imports the embedded cloud: commands of a stage in AWS run without it.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, circles, graph, imports, python_files, tree

MAY_IMPORT = {
    "shared": frozenset({"shared"}),
    "commands": frozenset({"shared"}),
    "demo": frozenset({"shared", "commands", "demo"}),
    "main": frozenset({"shared", "commands"}),
}
"""What the modules of each group may import of ``cli``."""


EMBEDDED_CLOUD = "cli.shared.local"
"""The only module that may import ``local_cloud``."""


@cache
def cli() -> dict[str, set[str]]:
    """What each module of the command line imports of the others."""
    return graph({module: (tree(path), path.name == "__init__.py") for module, path in paths().items()})


def paths() -> dict[str, Path]:
    """Every module of the command line by its dotted name."""
    found = {}
    for path in python_files("cli"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def embedded_cloud_imports(source: ast.Module) -> list[str]:
    """Names of ``local_cloud`` that a module imports, anywhere in it."""
    return [name for name in imports(source) if name.split(".")[0] == "local_cloud"]


def group(module: str) -> str:
    """The package or module right under ``cli`` that a module belongs to; empty for ``cli`` itself."""
    return module.partition(".")[2].partition(".")[0]


def violations(module: str, used: set[str]) -> list[str]:
    """Imports that a module of the command line must not have."""
    allowed = MAY_IMPORT.get(group(module), frozenset())
    return [f"{module} imports {other}" for other in sorted(used) if group(other) not in allowed]


def planted(module: str, source: str) -> set[str]:
    """What a module with this source imports of the command line."""
    modules = {name: (ast.Module([], []), False) for name in cli()}
    return graph({**modules, module: (ast.parse(source), False)})[module]


def test_every_module_belongs_to_a_group() -> None:
    assert {group(module) for module in cli()} == {"", *MAY_IMPORT}


def test_commands_import_only_what_they_share() -> None:
    assert [reason for module, used in cli().items() for reason in violations(module, used)] == []


def test_no_modules_of_the_command_line_import_each_other() -> None:
    assert circles(cli()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cli.commands.planted", "from cli.commands.predict import request_id"),
        ("cli.commands.planted", "def f():\n    from cli.commands import train"),
        ("cli.commands.planted", "from cli.demo.flights import Month"),
        ("cli.commands.planted", "from cli.main import app"),
        ("cli.shared.planted", "from cli.commands import train"),
        ("cli.shared.planted", "from cli.demo import loop"),
        ("cli.main", "from cli.demo.story import Story"),
    ],
)
def test_a_planted_import_is_found(module: str, source: str) -> None:
    assert len(violations(module, planted(module, source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cli.commands.planted", "from cli.shared.console import Output"),
        ("cli.demo.planted", "from cli.commands.monitor import find_record\nfrom cli.shared import executions"),
        ("cli.shared.planted", "from cli.shared import executions"),
    ],
)
def test_an_import_of_what_is_shared_passes(module: str, source: str) -> None:
    assert planted(module, source)
    assert violations(module, planted(module, source)) == []


def test_a_planted_circle_is_found() -> None:
    module, used = next((module, used) for module, used in cli().items() if used)
    other = min(used)
    edges = {**cli(), other: cli()[other] | {module}}
    assert any({module, other} <= set(found) for found in circles(edges))


def test_one_module_imports_the_embedded_cloud() -> None:
    assert [module for module, path in paths().items() if embedded_cloud_imports(tree(path))] == [EMBEDDED_CLOUD]


@pytest.mark.parametrize(
    "source",
    ["import local_cloud", "from local_cloud.state import REPOSITORY", "def f():\n    from local_cloud import clients"],
)
def test_a_planted_import_of_the_embedded_cloud_is_found(source: str) -> None:
    assert len(embedded_cloud_imports(ast.parse(source))) == 1
