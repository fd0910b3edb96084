"""One way to do each thing in the library: to read the time, to write an embedded metric, to lay out a package."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.sources import imports, library_modules, tree
from tests.architecture.test_direction import CAPABILITIES, package

CLOCK = "driftless.core.clock"
EMF = "driftless.core.emf"


def clocks(module: ast.Module) -> Iterator[int]:
    """Lines that read the time of day by themselves."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("datetime.now", ".utcnow", ".today", "time.time")):
            yield node.lineno


def embedded_metrics(module: ast.Module) -> Iterator[str]:
    """Ways to write an embedded metric other than ``driftless.core.emf``."""
    yield from (name for name in imports(module) if name.startswith("aws_lambda_powertools.metrics"))
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and node.value in ("_aws", "CloudWatchMetrics"):
            yield str(node.value)


def test_the_library_has_one_clock() -> None:
    found = {name: list(clocks(tree(path))) for name, path in library_modules().items()}
    assert {name for name, lines in found.items() if lines} == {CLOCK}


def test_embedded_metrics_are_written_in_one_module() -> None:
    found = {name: list(embedded_metrics(tree(path))) for name, path in library_modules().items()}
    assert {name for name, ways in found.items() if ways} == {EMF}


@pytest.mark.parametrize(
    "source", ["datetime.now(UTC)", "dt.datetime.now()", "datetime.utcnow()", "date.today()", "f(time.time())"]
)
def test_another_clock_is_found(source: str) -> None:
    assert list(clocks(ast.parse(source))) == [1]


@pytest.mark.parametrize("source", ["from aws_lambda_powertools.metrics import Metrics", 'line = {"_aws": {}}'])
def test_another_metric_writer_is_found(source: str) -> None:
    assert len(list(embedded_metrics(ast.parse(source)))) == 1


def definitions(module: ast.Module) -> list[str]:
    """Functions and classes that a module defines."""
    return [node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def test_the_packages_of_capabilities_document_and_re_export() -> None:
    found = {name: path for name, path in library_modules().items() if path.name == "__init__.py"}
    packages = {name: path for name, path in found.items() if package(name) in CAPABILITIES}
    assert {name: definitions(tree(path)) for name, path in packages.items()} == {name: [] for name in packages}
    assert len(packages) > len(CAPABILITIES)


def test_a_definition_in_a_package_is_found() -> None:
    assert definitions(ast.parse("import os\n\ndef f():\n    pass\n\nclass C:\n    pass\n\n__all__ = ['f']")) == ["f", "C"]
