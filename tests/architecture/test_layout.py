"""Keys and parameter names are written in ``driftless.core.layout`` and nowhere else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.sources import LIBRARY, PRODUCT, python_files, shown, tree

LAYOUT = LIBRARY / "driftless" / "core" / "layout"
PREFIXES = re.compile(
    r"(^|/)(models|runs|tables|predictions|labels|monitoring|trust|serving|staging|quarantine|reports)/|^/driftless/"
)
ROUTES = {"/predictions/POST"}
"""Routes of the API, which are no keys."""


def written_keys(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines and texts of string constants and f-string parts that begin a key or a parameter's name; docstrings do not count."""
    texts = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in texts:
            continue
        if PREFIXES.search(node.value) and node.value not in ROUTES:
            yield node.lineno, node.value


def test_keys_are_written_in_the_layout_alone() -> None:
    elsewhere = [path for path in python_files(*PRODUCT) if LAYOUT not in path.parents]
    found = [f"{shown(path)}:{line} {text!r}" for path in elsewhere for line, text in written_keys(tree(path))]
    assert found == []
    assert len(elsewhere) > 100


def test_the_layout_imports_only_the_standard_library() -> None:
    names = {
        name.partition(".")[0] for path in python_files(str(LAYOUT)) for node in ast.walk(tree(path)) for name in _imported(node)
    }
    assert names == {"__future__", "datetime", "hashlib", "typing"}


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


@pytest.mark.parametrize(
    "source",
    [
        'key = "models/"',
        'key = f"runs/{run}/scores"',
        'url = f"s3://{bucket}/models/{project}"',
        'name = f"/driftless/{stage}/commit"',
        'def f():\n    """Says what it does."""\n    return store.list("predictions/_receipts/")',
    ],
)
def test_a_planted_key_is_found(source: str) -> None:
    assert len(list(written_keys(ast.parse(source)))) == 1


@pytest.mark.parametrize("source", ['"""Reads ``models/``."""', 'path = "/python/driftless/testing"', 'word = "models"'])
def test_other_texts_pass(source: str) -> None:
    assert list(written_keys(ast.parse(source))) == []
