"""Imports run one way: handler → entrypoint → adapters and stages → ports → records and errors; stages never meet.

A noun (``metrics``, ``audit``, ``profile`` …) is whatever is neither: shared by stages, and knowing none of them.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.sources import handlers, imports, library_modules, shown, tree

STAGES = frozenset(
    {
        *("validate", "ingest", "transform", "tune", "train", "score", "evaluate", "register", "deploy"),
        *("infer", "collect", "label", "monitor", "retrain"),
    }
)
CONTRACT = {
    "errors": frozenset[str](),
    "records": frozenset({"errors"}),
    "project_file": frozenset({"errors", "project"}),
    "project_checks": frozenset({"project", "project_file"}),
    "project": frozenset({"errors", "project_checks", "project_file"}),
    "ports": frozenset({"errors", "records"}),
}
"""What the innermost modules may import of the library; ``project`` is one definition in three files that know each other."""


def part(module: str) -> str:
    """The library's part a module belongs to: its name right under ``driftless``."""
    return module.partition(".")[2].partition(".")[0]


def used_parts(module: str, source: ast.Module, is_package: bool = False) -> set[str]:
    package = module if is_package else module.rpartition(".")[0]
    return {part(name) for name in imports(source, package) if name.split(".")[0] == "driftless"} - {part(module), ""}


def violations(module: str, used: set[str]) -> list[str]:
    """Why a module of the library must not import these parts of it."""
    own, reasons = part(module), []
    for other in sorted(used):
        if own in CONTRACT and other not in CONTRACT[own]:
            reasons.append(f"{module} is part of the contract and imports {other}")
        elif other == "entrypoint" and own != "entrypoint":
            reasons.append(f"{module} imports the composition root")
        elif other == "adapters" and own not in ("adapters", "entrypoint"):
            reasons.append(f"{module} imports adapters instead of ports")
        elif other in STAGES and own in STAGES:
            reasons.append(f"stage {own} imports stage {other}: what they share is a noun of its own")
        elif other in STAGES and own != "entrypoint":
            reasons.append(f"{module} is no composition and imports stage {other}")
    return reasons


def test_the_library_imports_inward() -> None:
    found: list[str] = []
    for module, path in library_modules().items():
        found += violations(module, used_parts(module, tree(path), path.name == "__init__.py"))
    assert found == []


def test_every_stage_is_there() -> None:
    assert {part(module) for module in library_modules()} >= STAGES


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("driftless.deploy", "from driftless.register import Register"),
        ("driftless.train.stage", "def f():\n    import driftless.score"),
        ("driftless.train.stage", "from ..score import Score"),
        ("driftless.register", "from driftless.adapters.s3 import S3Store"),
        ("driftless.metrics", "from driftless.evaluate import gates"),
        ("driftless.adapters.s3", "from driftless.deploy import promote"),
        ("driftless.adapters.s3", "from driftless.entrypoint.common import Settings"),
        ("driftless.ports", "from driftless.project import Project"),
        ("driftless.errors", "from driftless import records"),
    ],
)
def test_an_outward_import_is_found(module: str, source: str) -> None:
    assert len(violations(module, used_parts(module, ast.parse(source)))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("driftless.train.stage", "from driftless.train.export import to_onnx\nfrom .parity import rows"),
        ("driftless.entrypoint.training", "from driftless.train import Train\nfrom driftless.adapters.s3 import S3Store"),
        ("driftless.deploy", "from driftless.ports import Registry\nfrom driftless import endpoints"),
        ("driftless.adapters.registry", "from driftless import audit"),
    ],
)
def test_an_inward_import_passes(module: str, source: str) -> None:
    assert violations(module, used_parts(module, ast.parse(source))) == []


def outside(handler: ast.Module) -> list[str]:
    """What a handler imports although it only translates: anything but the standard library's types, records and entry points."""
    allowed = ("__future__.", "collections.", "functools.", "typing.", "driftless.entrypoint.", "driftless.records.")
    requests = tuple(f"driftless.{stage}." for stage in STAGES)
    return [
        name
        for name in imports(handler)
        if not name.startswith(allowed) and not (name.startswith(requests) and name.endswith("Request"))
    ]


@pytest.mark.parametrize("path", handlers(), ids=shown)
def test_handlers_know_only_their_entry_point_and_records(path: Path) -> None:
    assert outside(tree(path)) == []


def test_a_handler_that_reaches_further_is_found() -> None:
    source = "import boto3\nfrom driftless.adapters.s3 import S3Store\nfrom driftless.deploy import promote"
    assert outside(ast.parse(source)) == ["boto3", "driftless.adapters.s3.S3Store", "driftless.deploy.promote"]
