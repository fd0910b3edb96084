"""One synth per stage, shared by every template test: jsii is slow to start and slow to talk to.

Layers and function folders are throw-away stand-ins, so nothing is built; projects are the checkout's own. The local stage
gets one project more than the others: what it adds is what adding a folder adds.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "1")

ROOT = Path(__file__).resolve().parents[2]
EXTRA_PROJECT = "second_model"
ALIKE = ("delays_1", "delays1")
Resource = dict[str, Any]


@dataclass(frozen=True)
class Synth:
    """Templates of a stage by stack (``data``, ``pipeline``, ``serving``, ``monitoring``)."""

    stage: str
    folder: Path
    templates: dict[str, dict[str, Any]]

    def resources(self, kind: str, *stacks: str) -> dict[str, Resource]:
        """Resources of a type by logical id, of the given stacks or all."""
        chosen = stacks or tuple(self.templates)
        return {
            f"{stack}/{name}": resource
            for stack in chosen
            for name, resource in self.templates[stack]["Resources"].items()
            if resource["Type"] == kind
        }

    def properties(self, kind: str, containing: str, *stacks: str) -> dict[str, Any]:
        """Properties of the one resource of a type whose logical id contains a text."""
        found = {name: r for name, r in self.resources(kind, *stacks).items() if containing in name}
        assert len(found) == 1, f"{kind} {containing}: {sorted(found)}"
        (resource,) = found.values()
        properties: dict[str, Any] = resource["Properties"]
        return properties


def stand_ins(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Function folders and layers small enough to need no build."""
    from infra.functions import COMMON_LAYERS, FUNCTIONS
    from infra.layers import DEPENDENCY_LAYERS, Artifact

    for name in FUNCTIONS:
        (folder / "lambdas" / name).mkdir(parents=True)
        (folder / "lambdas" / name / "handler.py").write_text(f"def handler(event, context):\n    return {name!r}\n")
    layers = {}
    for name in (*COMMON_LAYERS, *DEPENDENCY_LAYERS):
        content = folder / "layers" / name
        content.mkdir(parents=True, exist_ok=True)
        (content / "content.txt").write_text(name)
        layers[name] = Artifact(name, content, None, 1000)
    return folder / "lambdas", layers


def synthesise(stage: str, folder: Path, projects: Path, prepare: Callable[[Any], None] = lambda app: None) -> Synth:
    """Compose and synthesise a stage; ``prepare`` may add to the app before."""
    from aws_cdk import App

    from driftless.definition.loading import load_all
    from infra.composition import Sources, compose
    from infra.settings import for_stage

    lambdas, layers = stand_ins(folder)
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = App(context=context, outdir=str(folder / "out"))
    workflows = ROOT / "step_functions"
    compose(
        app,
        for_stage(stage, commit="0" * 40, alarm_email="ops@example.org"),
        Sources(lambdas, workflows, layers, load_all(projects)),
    )
    prepare(app)
    app.synth()
    return read(stage, folder / "out")


def read(stage: str, out: Path) -> Synth:
    """Templates of an assembly on disk."""
    names = ("data", "pipeline", "serving", "monitoring")
    return Synth(stage, out, {n: json.loads((out / f"driftless-{stage}-{n}.template.json").read_text()) for n in names})


def copy_of_flights(projects: Path, name: str) -> Path:
    """The example under another name; its definition's path."""
    shutil.copytree(ROOT / "projects" / "flights", projects / name, ignore=shutil.ignore_patterns("__pycache__"))
    definition = projects / name / "project.toml"
    definition.write_text(definition.read_text().replace('name = "flights"', f'name = "{name}"', 1))
    return definition


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synth]:
    """The local stage, with one more project folder than the checkout has."""
    folder = tmp_path_factory.mktemp("local")
    projects = folder / "projects"
    shutil.copytree(ROOT / "projects", projects, ignore=shutil.ignore_patterns("__pycache__"))
    definition = copy_of_flights(projects, EXTRA_PROJECT)
    definition.write_text(definition.read_text().replace('schedule = "rate(7 days)"', 'schedule = "rate(3 days)"'))
    yield synthesise("local", folder, projects)


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synth]:
    """The prod stage with the checkout's projects."""
    yield synthesise("prod", tmp_path_factory.mktemp("prod"), ROOT / "projects")


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synth]:
    """The dev stage with two projects whose names differ only in an underscore."""
    folder = tmp_path_factory.mktemp("dev")
    for name in ALIKE:
        copy_of_flights(folder / "projects", name)
    yield synthesise("dev", folder, folder / "projects")
