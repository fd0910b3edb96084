"""Product code uses the public parts of third-party packages; what is private or patched stands in one module."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.sources import PRODUCT, imports, python_files, shown, tree

COMPAT = "layers/shared/python/driftless/training/compat.py"
_TRAINING_PACKAGES = frozenset({"sklearn", "skl2onnx", "onnx"})


def mocking(module: ast.Module) -> list[str]:
    """Mock libraries that a module imports."""
    return [name for name in imports(module) if name.startswith("unittest.mock") or name.split(".")[0] == "mock"]


def private_uses(module: ast.Module) -> Iterator[str]:
    """Private names that a module which imports a training library takes from other objects or packages."""
    imported = list(imports(module))
    if not any(name.split(".")[0] in _TRAINING_PACKAGES for name in imported):
        return
    for name in imported:
        first, *rest = name.split(".")
        if first in _TRAINING_PACKAGES and any(_private(part) for part in rest):
            yield name
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and _private(node.attr) and ast.unparse(node.value) not in ("self", "cls"):
            yield ast.unparse(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr", "delattr"):
            texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            yield from (text for text in texts if isinstance(text, str) and _private(text))


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_product_code_uses_no_mock_library() -> None:
    found = {shown(path): mocking(tree(path)) for path in python_files(*PRODUCT)}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("source", ["from unittest import mock", "import unittest.mock", "def f():\n    import mock"])
def test_a_mock_library_is_found(source: str) -> None:
    assert len(mocking(ast.parse(source))) == 1


def test_private_parts_of_training_libraries_are_used_in_compat_only() -> None:
    found = {shown(path): list(private_uses(tree(path))) for path in python_files("layers/shared")}
    assert {path for path, names in found.items() if names} == {COMPAT}


@pytest.mark.parametrize(
    "source",
    [
        "import sklearn\ndef f(model):\n    return model._predictors",
        "from sklearn.ensemble._forest import RandomForestClassifier",
        "from skl2onnx import _parse",
        "import onnx.helper\nsetattr(onnx.helper, '_x', 1)",
    ],
)
def test_a_private_use_is_found(source: str) -> None:
    assert list(private_uses(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "import sklearn\nclass A:\n    def f(self):\n        return self._b",
        "import numpy\nx = a._b",
        "import onnx\nx = a.__dict__",
    ],
)
def test_own_attributes_and_other_modules_pass(source: str) -> None:
    assert list(private_uses(ast.parse(source))) == []
