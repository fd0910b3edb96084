"""Imports only go down the levels of the library, and never from one capability to another.

A capability is a package that holds steps. What two capabilities share lives on a level below them. A step never imports
another step.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.sources import circles, graph, handlers, imports, library_modules, shown, tree

CAPABILITIES = frozenset({"data", "training", "evaluation", "registry", "serving", "monitoring"})
LEVELS = (
    frozenset({"errors"}),
    frozenset({"core"}),
    frozenset({"records"}),
    frozenset({"ports", "definition"}),
    frozenset({"modelling"}),
    CAPABILITIES | {"adapters"},
    frozenset({"entrypoint", "testing"}),
)
"""From the bottom up. Packages of one level do not import each other."""
STEPS = frozenset(
    {
        *("data.validation", "data.ingestion", "data.dataset"),
        *("training.tuning", "training.fit"),
        *("evaluation.scoring", "evaluation.step"),
        *("registry.registration", "registry.rollout"),
        *("serving.inference", "serving.collector", "serving.labels"),
        *("monitoring.step", "monitoring.governor"),
    }
)
COMPOSITION = frozenset({"entrypoint", "testing"})
"""Packages that put steps and adapters together; nothing in the library imports them."""


def place(module: str) -> str:
    """A module's dotted path inside the library."""
    return module.partition(".")[2]


def package(module: str) -> str:
    """The package right under ``driftless`` that a module belongs to."""
    return place(module).partition(".")[0]


def step(module: str) -> str | None:
    """The step a module is part of, if it is part of one."""
    found = place(module)
    return next((name for name in STEPS if found == name or found.startswith(f"{name}.")), None)


def level(name: str) -> int:
    return next(rank for rank, packages in enumerate(LEVELS) if name in packages)


def violations(module: str, used: set[str]) -> list[str]:
    """Why a module of the library must not import these modules."""
    reasons = []
    own, own_step = package(module), step(module)
    for other in sorted(used):
        theirs, their_step = package(other), step(other)
        if not theirs or (theirs == own and own in COMPOSITION):
            continue
        if theirs == own:
            if own_step and their_step and own_step != their_step:
                reasons.append(f"step {own_step} imports step {their_step}")
        elif own in CAPABILITIES and theirs in CAPABILITIES:
            reasons.append(f"{module} imports {other}: one capability imports another")
        elif level(theirs) >= level(own):
            reasons.append(f"{module} imports {other}: {own} does not lie above {theirs}")
    return reasons


@cache
def library() -> dict[str, set[str]]:
    """What each module of the library imports of the others."""
    return graph({module: (tree(path), path.name == "__init__.py") for module, path in library_modules().items()})


def planted(module: str, source: str) -> set[str]:
    """What a module with this source imports of the library, whether the other modules exist or not."""
    named = {name for name in imports(ast.parse(source), module.rpartition(".")[0]) if name.startswith("driftless.")}
    others = {name: (ast.Module([], []), False) for name in named}
    return graph({**others, module: (ast.parse(source), False)})[module]


def test_every_module_has_a_level() -> None:
    names = {package(module) for module in library_modules()} - {""}
    assert names - set().union(*LEVELS) == set()
    assert len(names) > 10


def test_the_library_imports_downwards() -> None:
    assert [reason for module, used in library().items() for reason in violations(module, used)] == []


def test_no_modules_import_each_other() -> None:
    assert circles(library()) == []


def test_every_step_is_there() -> None:
    assert {step(module) for module in library_modules()} - {None} == STEPS


@pytest.mark.parametrize("capability", sorted(CAPABILITIES))
def test_importing_a_capability_imports_none_of_its_steps(capability: str) -> None:
    """A function has the dependency layers of one step only: the package must not import the packages that another step needs."""
    assert library()[f"driftless.{capability}"] == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("driftless.registry.planted", "from driftless.serving.labels import AcceptLabels"),
        ("driftless.serving.planted", "from ..registry.card import card"),
        ("driftless.training.fit.planted", "def f():\n    import driftless.evaluation.scoring"),
        ("driftless.training.fit.planted", "from driftless.training.tuning import Tune"),
        ("driftless.registry.planted", "from driftless.adapters.s3 import S3Store"),
        ("driftless.modelling.planted", "from driftless.evaluation import gates"),
        ("driftless.adapters.planted", "from driftless.registry.rollout import promote"),
        ("driftless.adapters.planted", "from driftless.entrypoint.common import Settings"),
        ("driftless.data.planted", "from driftless.testing import memory"),
        ("driftless.ports.planted", "from driftless.definition.project import Project"),
        ("driftless.core.planted", "from driftless import records"),
    ],
)
def test_a_planted_import_is_found(module: str, source: str) -> None:
    assert len(violations(module, planted(module, source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("driftless.training.fit.planted", "from driftless.training.fit.export import to_onnx\nfrom .parity import parity_rows"),
        ("driftless.training.fit.planted", "from driftless.training.pipeline import fit"),
        ("driftless.entrypoint.planted", "from driftless.training.fit import Train\nfrom driftless.adapters.s3 import S3Store"),
        ("driftless.registry.planted", "from driftless.ports import Registry\nfrom driftless.modelling import endpoint"),
        ("driftless.adapters.planted", "from driftless.modelling import audit_chain"),
    ],
)
def test_an_import_downwards_passes(module: str, source: str) -> None:
    assert planted(module, source)
    assert violations(module, planted(module, source)) == []


def test_a_planted_circle_is_found() -> None:
    edges = library()
    module, used = next((module, used) for module, used in edges.items() if used)
    other = min(used)
    circle = circles({**edges, other: edges[other] | {module}})
    assert any({module, other} <= set(found) for found in circle)


def test_a_circle_through_a_third_module_is_found() -> None:
    sources = {"one": "import two", "two": "def f():\n    from three import g", "three": "import one", "four": "import one"}
    edges = graph({name: (ast.parse(source), False) for name, source in sources.items()})
    assert circles(edges) == [["one", "three", "two"]]


def outside(handler: ast.Module) -> list[str]:
    """What a handler imports although it only translates: anything but the standard library's types, records and entry points."""
    allowed = ("__future__.", "collections.", "functools.", "typing.", "driftless.entrypoint.", "driftless.records.")
    return [name for name in imports(handler) if not name.startswith(allowed)]


@pytest.mark.parametrize("path", handlers(), ids=shown)
def test_handlers_know_only_their_entry_point_and_records(path: Path) -> None:
    assert outside(tree(path)) == []


def test_a_handler_that_reaches_further_is_found() -> None:
    source = "import boto3\nfrom driftless.adapters.s3 import S3Store\nfrom driftless.registry.rollout import promote"
    assert outside(ast.parse(source)) == ["boto3", "driftless.adapters.s3.S3Store", "driftless.registry.rollout.promote"]
