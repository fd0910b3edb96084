"""Importing is free of effects: no cloud client is needed for the library, none is opened, and no environment is read.
No capability needs the package of another.

Each check runs in a process of its own, because what is imported once cannot be imported again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import LIBRARY, ROOT, handlers, library_modules
from tests.architecture.test_direction import CAPABILITIES

BLOCKED = ("boto3", "botocore", "s3transfer", "deltalake", "obstore")

BLOCKING = """
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if any(f"{name}.".startswith(f"{blocked}.") for blocked in BLOCKED):
            raise ImportError(f"{name} must not be needed here")
        return None

sys.meta_path.insert(0, Blocked())
for name in MODULES:
    importlib.import_module(name)
print("imported", len(MODULES))
"""

WATCHING = """
import importlib, importlib.util, os, socket, sys
import boto3, botocore.session, collections.abc

MAPPINGS = collections.abc.Mapping.get.__code__.co_filename

def ours(frame):
    # os.getenv and mappings' own methods read on behalf of their caller.
    while frame is not None and frame.f_code.co_filename in ("<string>", "<frozen os>", os.__file__, MAPPINGS):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(OURS)

class Watched(os._Environ):
    def __getitem__(self, key):
        if ours(sys._getframe(1)):
            raise AssertionError(f"environment variable {key} is read while importing")
        return super().__getitem__(key)

watched = Watched.__new__(Watched)
watched.__dict__.update(os.environ.__dict__)
os.environ = watched

def refuse(*arguments, **named):
    raise AssertionError("a client or a connection is opened while importing")

create = botocore.session.Session.create_client

def create_for_tracing_only(*arguments, **named):
    # The X-Ray SDK makes its sampler's client as soon as it is imported, and calls nothing with it.
    if "aws_xray_sdk" in sys._getframe(1).f_globals["__name__"]:
        return create(*arguments, **named)
    return refuse()

botocore.session.Session.create_client = create_for_tracing_only
boto3.client = boto3.resource = refuse
socket.socket.connect = refuse
for name in MODULES:
    importlib.import_module(name)
for number, path in enumerate(HANDLERS):
    spec = importlib.util.spec_from_file_location(f"handler_{number}", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
print("imported", len(MODULES) + len(HANDLERS))
"""


def run(script: str, library: Path = LIBRARY, **values: object) -> subprocess.CompletedProcess[str]:
    prelude = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "POWERTOOLS_"))},
        "PYTHONPATH": f"{library}{os.pathsep}{ROOT}",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-W", "ignore", "-c", prelude + script]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)


def without_clients() -> list[str]:
    """Modules that must import without any client: all but adapters, and but the compositions that choose them."""
    apart = ("driftless.adapters", "driftless.entrypoint.")
    return [name for name in library_modules() if not name.startswith(apart) or name == "driftless.entrypoint.common"]


def test_the_library_imports_with_every_cloud_client_blocked() -> None:
    modules = without_clients()
    done = run(BLOCKING, BLOCKED=BLOCKED, MODULES=modules)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"imported {len(modules)}\n"
    assert len(modules) > 30


@pytest.mark.parametrize("blocked", ["driftless.adapters.s3", "driftless.adapters.delta", "driftless.adapters.aws"])
def test_the_block_blocks(blocked: str) -> None:
    done = run(BLOCKING, BLOCKED=BLOCKED, MODULES=[blocked])
    assert done.returncode != 0
    assert "must not be needed here" in done.stderr


def others(capability: str) -> list[str]:
    """The packages of the other capabilities."""
    return sorted(f"driftless.{name}" for name in CAPABILITIES - {capability})


@pytest.mark.parametrize("capability", sorted(CAPABILITIES))
def test_a_capability_imports_without_the_others(capability: str) -> None:
    own = f"driftless.{capability}"
    modules = [name for name in library_modules() if f"{name}.".startswith(f"{own}.")]
    done = run(BLOCKING, BLOCKED=others(capability), MODULES=modules)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"imported {len(modules)}\n"
    assert own in modules


def test_an_import_of_another_capability_is_found(tmp_path: Path) -> None:
    """The library's folder with one module more, which reaches for another capability inside a function that runs."""
    package = tmp_path / "driftless"
    package.mkdir()
    for entry in (LIBRARY / "driftless").iterdir():
        if entry.name != "registry":
            (package / entry.name).symlink_to(entry)
    (package / "registry").mkdir()
    (package / "registry" / "__init__.py").write_text("import importlib\nimportlib.import_module('driftless.serving')\n")
    done = run(BLOCKING, library=tmp_path, BLOCKED=others("registry"), MODULES=["driftless.registry"])
    assert done.returncode != 0
    assert "driftless.serving must not be needed here" in done.stderr


def test_importing_reads_no_environment_and_opens_no_client() -> None:
    modules, paths = list(library_modules()), [str(path) for path in handlers()]
    done = run(WATCHING, OURS=(str(LIBRARY), str(ROOT / "lambdas")), MODULES=modules, HANDLERS=paths)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"imported {len(modules) + len(paths)}\n"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import os\nos.environ['HOME']", "HOME is read"),
        ("import os\nos.environ.get('HOME')", "HOME is read"),
        ("import os\nos.getenv('HOME')", "HOME is read"),
        ("from os import environ\n'HOME' in environ", "HOME is read"),
        ("import boto3\nboto3.client('s3', region_name='us-east-1')", "client or a connection is opened"),
        ("import boto3\nboto3.Session(region_name='us-east-1').client('s3')", "client or a connection is opened"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "client or a connection is opened"),
    ],
)
def test_the_watch_sees(source: str, reason: str, tmp_path: Path) -> None:
    importer = tmp_path / "handler.py"
    importer.write_text(source)
    done = run(WATCHING, OURS=(str(tmp_path),), MODULES=[], HANDLERS=[str(importer)])
    assert done.returncode != 0
    assert reason in done.stderr
