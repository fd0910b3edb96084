"""Imports in ``local_cloud`` only go down its levels, and MiniStack is imported in one place."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.architecture.sources import ROOT, circles, graph, imports, python_files, shown, tree

LEVELS = (
    frozenset({"emulator", "state", "clients", "origin_check", "parent_watch"}),
    frozenset({"runner", "durability", "fidelity"}),
    frozenset({"mends"}),
    frozenset({"server", "lifecycle", "deploy"}),
    frozenset({"__main__"}),
)
"""From the bottom up. Packages and modules of one level do not import each other."""
USES_EMULATOR = frozenset({"runner", "durability", "mends", "server"})
"""What runs inside the server process. Everything else works with any AWS endpoint and must not need MiniStack."""
IMPORTS_MINISTACK = frozenset({"local_cloud/emulator.py"})


def part(module: str) -> str:
    """The package or module directly under ``local_cloud`` that a module belongs to; empty for ``local_cloud`` itself."""
    return module.partition(".")[2].partition(".")[0]


def level(name: str) -> int:
    return next(rank for rank, parts in enumerate(LEVELS) if name in parts)


def violations(module: str, used: set[str]) -> list[str]:
    """Why a module must not import these modules."""
    reasons = []
    own = part(module)
    for other in sorted(used):
        theirs = part(other)
        if not theirs or theirs == own:
            continue
        if level(theirs) >= level(own):
            reasons.append(f"{module} imports {other}: {own} does not lie above {theirs}")
        elif theirs == "emulator" and own not in USES_EMULATOR:
            reasons.append(f"{module} imports {other}: {own} does not run in the server process")
    return reasons


@cache
def local_cloud() -> dict[str, set[str]]:
    """What each module of ``local_cloud`` imports of the others."""
    modules = {}
    for path in python_files("local_cloud"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        modules[".".join(parts[:-1] if is_package else parts)] = (tree(path), is_package)
    return graph(modules)


def planted(module: str, source: str) -> set[str]:
    """What a module with this source imports of ``local_cloud``."""
    others = dict.fromkeys(local_cloud(), (ast.Module([], []), False))
    return graph({**others, module: (ast.parse(source), False)})[module]


def test_every_module_has_a_level() -> None:
    assert {part(module) for module in local_cloud()} - {""} == set().union(*LEVELS)


def test_local_cloud_imports_downwards() -> None:
    assert [reason for module, used in local_cloud().items() for reason in violations(module, used)] == []


def test_no_modules_of_local_cloud_import_each_other() -> None:
    assert circles(local_cloud()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("local_cloud.runner.planted", "from local_cloud.mends import patching"),
        ("local_cloud.durability.planted", "from local_cloud.runner import report"),
        ("local_cloud.fidelity.planted", "def f():\n    from local_cloud.lifecycle import up"),
        ("local_cloud.fidelity.planted", "from local_cloud import emulator"),
        ("local_cloud.lifecycle", "from local_cloud.emulator import module"),
        ("local_cloud.state", "from local_cloud import clients"),
        ("local_cloud.lifecycle", "from local_cloud.deploy import deploy"),
        ("local_cloud.mends.planted", "from ..server import settings"),
    ],
)
def test_a_planted_import_is_found(module: str, source: str) -> None:
    assert len(violations(module, planted(module, source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("local_cloud.mends.planted", "from local_cloud.runner import report\nfrom local_cloud.emulator import module"),
        ("local_cloud.server", "from local_cloud import mends\nfrom local_cloud.durability import recovery"),
        ("local_cloud.mends.planted", "from local_cloud.mends.patching import replace"),
    ],
)
def test_an_import_downwards_passes(module: str, source: str) -> None:
    assert planted(module, source)
    assert violations(module, planted(module, source)) == []


def test_a_planted_circle_is_found() -> None:
    edges = local_cloud()
    circle = circles({**edges, "local_cloud.emulator": {"local_cloud.mends.patching"}})
    assert circle == [["local_cloud.emulator", "local_cloud.mends.patching"]]


def imports_ministack(source: ast.Module) -> bool:
    """Whether code imports MiniStack by a statement, or could by ``importlib``."""
    found = [name for name in imports(source) if not name.startswith("importlib.metadata.")]
    return any(name.partition(".")[0] in ("ministack", "importlib") for name in found)


def test_ministack_is_imported_in_one_place() -> None:
    assert {shown(path) for path in python_files("local_cloud") if imports_ministack(tree(path))} == IMPORTS_MINISTACK


@pytest.mark.parametrize("source", ["import ministack.app", "from ministack.services import s3", "import importlib"])
def test_a_planted_import_of_ministack_is_found(source: str) -> None:
    assert imports_ministack(ast.parse(source))
