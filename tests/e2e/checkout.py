"""A checkout of its own for the end-to-end tests: the tracked files, plus project folders added beside them.

Installed packages and built dependency layers are shared with the real checkout by symbolic links; the state of the embedded
cloud, the port and the synthesised templates are not, so that a test run never touches what a developer has running.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.shared.platform import Platform
from local_cloud import clients
from local_cloud.state import StateFolder

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = (".venv", "node_modules")


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        try:
            return json.loads(self.stdout)
        except json.JSONDecodeError as error:
            raise AssertionError(f"stdout is not JSON:\n{self.stdout}\nstderr:\n{self.stderr}") from error


class Checkout:
    """A working copy in which commands run as a person would type them."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") or k == "AWS_ENDPOINT_URL"} | {
            "DRIFTLESS_PORT": str(port),
            "PYTHONPATH": os.pathsep.join([str(root), str(root / "layers/shared/python")]),
            "COLUMNS": "160",
        }

    @classmethod
    def copy(cls, root: Path) -> Checkout:
        """Copy every file that git tracks or would track."""
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
        for name in filter(None, listed.split("\0")):
            source = REPOSITORY / name
            if source.is_file() and not name.startswith("tests/"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, root / name)
        for name in SHARED:
            (root / name).symlink_to(REPOSITORY / name)
        # Dependency layers are content-addressed and locked, so the copies can build into one cache.
        (REPOSITORY / ".build").mkdir(exist_ok=True)
        (root / ".build").mkdir()
        (REPOSITORY / ".build/layers").mkdir(exist_ok=True)
        (root / ".build/layers").symlink_to(REPOSITORY / ".build/layers")
        return cls(root, _free_port())

    def platform(self) -> Platform:
        """The deployed stage, as the command sees it."""
        endpoint = os.environ.get("AWS_ENDPOINT_URL") or self.server()["endpoint"]
        return Platform("local", clients.session(endpoint), endpoint)

    def server(self) -> dict[str, Any]:
        """Process id and endpoint of this checkout's embedded cloud."""
        found = StateFolder(self.root / ".driftless").server()
        assert found is not None, "the embedded cloud of the test is not running"
        return {"pid": found[0].pid, "endpoint": found[0].endpoint}

    def run(self, *words: str, timeout: float = 600) -> Result:
        """Run ``driftless`` with these words."""
        done = subprocess.run(
            [sys.executable, "-c", "from cli.main import app; app()", *words],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def json(self, *words: str, timeout: float = 600) -> Any:
        """Run ``driftless … --json``, expect success, return the document."""
        result = self.run(*words, "--json", timeout=timeout)
        assert result.code == 0, (
            f"driftless {' '.join(words)} exited {result.code}\n{result.stdout[-3000:]}\n{result.stderr[-6000:]}"
        )
        return result.document


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
