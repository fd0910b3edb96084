"""Commands import what they share, and never each other; the demo may use both."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.architecture.sources import ROOT, circles, graph, python_files, tree

MAY_IMPORT = {
    "shared": frozenset({"shared"}),
    "commands": frozenset({"shared"}),
    "demo": frozenset({"shared", "commands", "demo"}),
    "main": frozenset({"shared", "commands"}),
}
"""What the modules of each group may import of ``cli``."""


@cache
def cli() -> dict[str, set[str]]:
    """What each module of the command line imports of the others."""
    modules = {}
    for path in python_files("cli"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        modules[".".join(parts[:-1] if is_package else parts)] = tree(path), is_package
    return graph(modules)


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
