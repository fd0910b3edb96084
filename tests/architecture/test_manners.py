"""What the code must not do anywhere: unpickle, swallow whatever happens, or grow beyond what a reader holds in mind."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import LAMBDAS, PRODUCT, ROOT, handlers, imports, python_files, shown, tree

LONGEST_FILE = 400
LONGEST_HANDLER = 25
_UNPICKLERS = frozenset({"pickle", "_pickle", "cloudpickle", "dill", "shelve", "marshal", "pickle5"})
_TRAINING = "layers/shared/python/driftless/training/"


def unpickling(module: ast.Module, *, training: bool) -> Iterator[str]:
    """Ways to turn bytes into arbitrary objects; training may use joblib to write what people load by hand."""
    for name in imports(module):
        package = name.split(".")[0]
        if package in _UNPICKLERS or (package == "joblib" and not training):
            yield f"imports {package}"
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and node.attr in ("read_pickle", "unpickle"):
            yield f"calls {node.attr}"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("joblib.load", "torch.load"):
            yield f"calls {ast.unparse(node)}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            yield "allows pickles in numpy files"


def broad_excepts(module: ast.Module) -> Iterator[int]:
    """Lines that catch everything."""
    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {ast.unparse(entry).split(".")[-1] if entry is not None else "" for entry in caught}
            if names & {"", "Exception", "BaseException"}:
                yield node.lineno


def test_nothing_is_unpickled() -> None:
    found = [
        f"{shown(path)} {reason}"
        for path in python_files(*PRODUCT)
        for reason in unpickling(tree(path), training=shown(path).startswith(_TRAINING))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from cloudpickle import loads",
        "import joblib",
        "import pandas\npandas.read_pickle('x')",
        "import numpy\nnumpy.load('x', allow_pickle=True)",
    ],
)
def test_unpickling_is_found(source: str) -> None:
    assert len(list(unpickling(ast.parse(source), training=False))) == 1


def test_training_may_write_with_joblib_but_not_load() -> None:
    assert list(unpickling(ast.parse("import joblib\njoblib.dump(1, 'x')"), training=True)) == []
    assert list(unpickling(ast.parse("import joblib\njoblib.load('x')"), training=True)) == ["calls joblib.load"]


def test_library_and_handlers_catch_what_they_can_name() -> None:
    found = [f"{shown(path)}:{line}" for path in python_files("layers/shared", "lambdas") for line in broad_excepts(tree(path))]
    assert found == []


@pytest.mark.parametrize("clause", ["except:", "except Exception:", "except (ValueError, BaseException) as e:"])
def test_a_broad_except_is_found(clause: str) -> None:
    source = f"try:\n    f()\n{clause}\n    pass\ntry:\n    f()\nexcept (KeyError, ValueError):\n    pass"
    assert list(broad_excepts(ast.parse(source))) == [3]


def test_no_file_outgrows_its_reader() -> None:
    places = (*PRODUCT, "projects", "tests")
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(*places)}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}
    assert len(lengths) > 100


@pytest.mark.parametrize("path", handlers(), ids=shown)
def test_handlers_are_short_and_say_what_they_translate(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_HANDLER
    assert ast.get_docstring(tree(path))
    assert not [node for node in ast.walk(tree(path)) if isinstance(node, ast.Try)]


def test_a_function_is_a_folder_with_one_handler() -> None:
    folders = sorted(entry for entry in LAMBDAS.iterdir() if entry.is_dir() and entry.name != "__pycache__")
    assert [folder / "handler.py" for folder in folders] == handlers()
    extra = [shown(path) for folder in folders for path in folder.rglob("*.py") if path.name != "handler.py"]
    assert extra == []
    assert (ROOT / "lambdas") == LAMBDAS
