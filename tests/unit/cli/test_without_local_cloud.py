"""Commands of a stage in AWS run without the package ``local_cloud``.

Each check runs in a process of its own, in which importing that package fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "local_cloud":
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
        return None

sys.meta_path.insert(0, Blocked())
"""

IMPORT = """
import importlib, pkgutil
import cli

names = sys.argv[1:] or [found.name for found in pkgutil.walk_packages(cli.__path__, "cli.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""

RUN = """
import json
import boto3
from moto import mock_aws
from typer.testing import CliRunner
from cli.main import app
from tests.unit.cli.fakes import create_stage

found = {}
with mock_aws():
    create_stage(boto3.Session(region_name="us-east-1"))
    for command in sys.argv[1:]:
        result = CliRunner().invoke(app, command.split())
        found[command] = result.exit_code, result.stdout, result.stderr
print(json.dumps(found))
"""

IN_AWS = {
    "--help": "destroy",
    "status --stage dev --help": "--stage",
    "models list flights --stage dev": "Versions of flights",
    "models list flights --stage dev --json": '"versions": []',
}
"""Commands, and what each writes to stdout."""
ON_THIS_MACHINE = ("up", "down", "models list flights")


def run(source: str, *arguments: str, search: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DRIFTLESS_"))}
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    places = os.pathsep.join(str(place) for place in (search, ROOT, ROOT / "layers" / "shared" / "python"))
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + source, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**environment, **credentials, "PYTHONPATH": places, "COLUMNS": "200"},
        timeout=120,
    )


@pytest.fixture(scope="module")
def results() -> dict[str, tuple[int, str, str]]:
    """Exit code, stdout and stderr of each command, all run in one process."""
    done = run(RUN, *IN_AWS, *ON_THIS_MACHINE)
    assert done.returncode == 0, done.stderr
    found: dict[str, tuple[int, str, str]] = json.loads(done.stdout)
    return found


def test_every_module_imports() -> None:
    done = run(IMPORT)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 25


def test_a_planted_import_fails(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("from local_cloud import lifecycle\n")
    done = run(IMPORT, "planted", search=tmp_path)
    assert done.returncode == 1
    assert "local_cloud is blocked" in done.stderr


@pytest.mark.parametrize(("command", "expected"), IN_AWS.items())
def test_a_command_of_a_stage_in_aws_runs(results: dict[str, tuple[int, str, str]], command: str, expected: str) -> None:
    code, stdout, stderr = results[command]
    assert (code, stderr) == (0, "")
    assert expected in stdout


@pytest.mark.parametrize("command", ON_THIS_MACHINE)
def test_a_command_of_the_local_stage_names_the_missing_package(results: dict[str, tuple[int, str, str]], command: str) -> None:
    code, _, stderr = results[command]
    assert code == 1
    assert "the local stage needs the package local_cloud" in stderr
