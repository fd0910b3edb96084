"""Each function imports with the packages of its own layers only.

What a function needs beyond them would fail at its first event in Lambda.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from infra.functions import COMMON_LAYERS, FUNCTIONS
from infra.layers import DEPENDENCY_LAYERS, PROVIDED
from tests.architecture.sources import ROOT
from tests.architecture.test_importing import BLOCKING, run


def modules_of(names: Iterable[str]) -> frozenset[str]:
    """Top-level modules of installed packages."""
    wanted = set(names)
    found = packages_distributions().items()
    return frozenset(module for module, owners in found if wanted & {re.sub(r"[-_.]+", "-", name).lower() for name in owners})


@cache
def packages(layer: str) -> frozenset[str]:
    """Top-level modules of a dependency layer; none for the layers of our own code."""
    lock = ROOT / "layers" / layer / "requirements.txt"
    return modules_of(re.findall(r"^([\w.-]+)==", lock.read_text(), flags=re.MULTILINE) if lock.is_file() else ())


def absent(layers: tuple[str, ...]) -> list[str]:
    """Top-level modules that other layers have, and that neither these nor Lambda's runtime have."""
    everything: frozenset[str] = frozenset().union(*(packages(layer) for layer in DEPENDENCY_LAYERS))
    return sorted(everything.difference(modules_of(PROVIDED["base"]), *(packages(layer) for layer in layers)))


def by_layers() -> dict[tuple[str, ...], list[str]]:
    """Functions by the layers that they have."""
    found: dict[tuple[str, ...], list[str]] = {}
    for spec in FUNCTIONS.values():
        found.setdefault(spec.layers, []).append(f"driftless.entrypoint.{spec.folder}")
    return found


@pytest.mark.parametrize("layers", sorted(by_layers()), ids="+".join)
def test_functions_import_with_their_own_layers_only(layers: tuple[str, ...]) -> None:
    modules = by_layers()[layers]
    done = run(BLOCKING, BLOCKED=absent(layers), MODULES=modules)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"imported {len(modules)}\n"


def test_a_package_that_no_layer_of_a_function_has_is_found() -> None:
    assert {"numpy", "duckdb", "fastapi"} <= set(absent(COMMON_LAYERS))
    done = run(BLOCKING, BLOCKED=absent(COMMON_LAYERS), MODULES=["driftless.entrypoint.training"])
    assert "must not be needed here" in done.stderr
