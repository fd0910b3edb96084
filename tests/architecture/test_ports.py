"""A step declares the ports that it uses and no more: every method of a declared port is called somewhere.

Where a port is passed on, the callee's declaration counts. That a step calls nothing beyond its declaration is mypy's part.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any, get_type_hints

import pytest

from driftless import ports
from tests.architecture.sources import library_modules

WHOLE = (ports.ObjectStore, ports.LakeTables, ports.Registry)
"""What an adapter implements; no step takes it."""
CAPABILITIES = ("data", "training", "evaluation", "registry", "serving", "monitoring", "modelling")


def methods(port: Any) -> set[str]:
    """Names of the methods of a Protocol and of those that it inherits; empty for anything else."""
    if not getattr(port, "_is_protocol", False):
        return set()
    return {name for base in port.__mro__ if getattr(base, "_is_protocol", False) for name in vars(base) if name[0] != "_"}


def declared(function: Any) -> dict[str, Any]:
    """The parameters of a function that are ports, with their Protocols."""
    hints = get_type_hints(function)
    return {name: hints[name] for name in inspect.signature(function).parameters if methods(hints.get(name))}


@dataclass(frozen=True)
class Taker:
    """A function, or a class by its constructor, that takes ports; ``body`` is the code that may use them."""

    name: str
    function: Any
    body: ast.AST
    module: ModuleType


def takers(module: ModuleType, source: str) -> Iterator[Taker]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            yield Taker(f"{module.__name__}.{node.name}", getattr(module, node.name), node, module)
        elif isinstance(node, ast.ClassDef) and isinstance(vars(getattr(module, node.name)).get("__init__"), FunctionType):
            yield Taker(f"{module.__name__}.{node.name}", getattr(module, node.name).__init__, node, module)


def aliases(body: ast.AST, name: str) -> set[str]:
    """How a parameter is called in the code: by its name, and by the attribute that the constructor stores it in."""
    found = {name}
    for node in ast.walk(body):
        if not isinstance(node, ast.Assign):
            continue
        target, value = node.targets[0], node.value
        pairs: Iterator[tuple[ast.expr, ast.expr]] = iter([(target, value)])
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=True)
        found |= {ast.unparse(left) for left, right in pairs if isinstance(right, ast.Name) and right.id == name}
    return found


def used(taker: Taker, name: str) -> set[str]:
    """Methods of one parameter that are called or referred to, here or by whom it is passed on to."""
    names, found = aliases(taker.body, name), set()
    for node in ast.walk(taker.body):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in names:
            found.add(node.attr)
        if isinstance(node, ast.Call):
            found |= passed_on(taker, node, names)
    return found


def passed_on(taker: Taker, call: ast.Call, names: set[str]) -> set[str]:
    """Methods of the ports that a called function declares where a parameter is passed to it."""
    found: set[str] = set()
    places: list[int | str] = [place for place, value in enumerate(call.args) if ast.unparse(value) in names]
    places += [word.arg for word in call.keywords if word.arg is not None and ast.unparse(word.value) in names]
    callee = getattr(taker.module, call.func.id, None) if isinstance(call.func, ast.Name) else None
    if places and callee is not None:
        parameters = [*inspect.signature(callee).parameters]
        hints = get_type_hints(callee.__init__ if inspect.isclass(callee) else callee)
        for place in places:
            found |= methods(hints.get(parameters[place] if isinstance(place, int) else place))
    return found


def unused(module: ModuleType, source: str) -> list[str]:
    """Methods that a module's steps and functions declare and do not use, and whole adapters that they take."""
    complaints = []
    for taker in takers(module, source):
        for name, port in declared(taker.function).items():
            if port in WHOLE:
                complaints.append(f"{taker.name} takes the whole {port.__name__} as {name}")
            else:
                rest = sorted(methods(port) - used(taker, name))
                complaints += [f"{taker.name} declares {name}.{method} and does not use it" for method in rest]
    return complaints


def users() -> list[str]:
    """Modules of the library that take ports: those of capabilities and modelling."""
    return [name for name in library_modules() if name.split(".")[1:2] and name.split(".")[1] in CAPABILITIES]


@pytest.mark.parametrize("name", users())
def test_no_step_declares_a_method_that_it_does_not_use(name: str) -> None:
    module = importlib.import_module(name)
    assert unused(module, inspect.getsource(module)) == []


def test_ports_are_taken_in_every_capability() -> None:
    found: set[str] = set()
    for name in users():
        module = importlib.import_module(name)
        if any(declared(taker.function) for taker in takers(module, inspect.getsource(module))):
            found.add(name.split(".")[1])
    assert found == set(CAPABILITIES)


def test_every_port_has_a_user() -> None:
    """Ports that only the command line reads are part of the whole and need no step."""
    taken: set[str] = set()
    for name in users():
        module = importlib.import_module(name)
        for taker in takers(module, inspect.getsource(module)):
            taken |= {method for port in declared(taker.function).values() for method in methods(port)}
    everything = set().union(*(methods(getattr(ports, name)) for name in ports.__all__))
    assert everything - taken == {"history", "versions", "retrains", "ingests"}


def planted(source: str) -> list[str]:
    header = """
        from __future__ import annotations
        from typing import Protocol
        from driftless.ports import EndpointReader, ObjectReader, ObjectStore, ObjectWriter, RunLog

        class Files(ObjectReader, ObjectWriter, Protocol):
            pass

        def reads(store: ObjectReader) -> bytes:
            return store.get("key")
        """
    module = ModuleType("planted")
    code = textwrap.dedent(header) + textwrap.dedent(source)
    exec(compile(code, "planted", "exec"), vars(module))
    return unused(module, code)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (
            """
            class Step:
                def __init__(self, *, files: Files) -> None:
                    self._files = files

                def __call__(self) -> bytes:
                    return self._files.get("key")
            """,
            "planted.Step declares files.put and does not use it",
        ),
        (
            """
            class Step:
                def __init__(self, runs: RunLog, files: Files) -> None:
                    self._runs, self._files = runs, files

                def __call__(self) -> bytes:
                    self._files.put("key", b"")
                    return reads(self._files)
            """,
            "planted.Step declares runs.record_run and does not use it",
        ),
        ("def f(files: Files) -> bytes:\n    return reads(files)", "planted.f declares files.put and does not use it"),
        ("def f(store: ObjectStore) -> bytes:\n    return store.get('key')", "planted.f takes the whole ObjectStore as store"),
    ],
)
def test_a_planted_declaration_too_wide_is_found(source: str, complaint: str) -> None:
    assert planted(source) == [complaint]


def test_a_port_that_is_used_by_all_it_declares_passes() -> None:
    assert (
        planted("def f(files: Files) -> None:\n    list(map(files.get, ['a']))\n    files.put('key', reads(store=files))") == []
    )
