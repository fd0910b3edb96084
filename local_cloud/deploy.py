"""Run the real CDK command line: synthesise once, bootstrap once, deploy what changed.

Nothing here depends on what the stacks contain. The cloud assembly is kept with a digest of its sources, because
synthesis takes most of a minute and most runs change nothing. The CLI has its own home folder, because it caches
accounts by access key and all local clouds have the same key. It gets dummy credentials only for a local endpoint. Its
output goes to a log file and, line by line, to a progress callback.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import botocore.exceptions

from infra.release_order import release_first
from local_cloud import clients
from local_cloud.state import DEFAULT_FOLDER, REPOSITORY

Progress = Callable[[str], None]

_SOURCES = ("app.py", "cdk.json", "package-lock.json", "infra", "lambdas", "layers", "step_functions", "projects")
_IGNORED = ("__pycache__", ".mypy_cache", ".ruff_cache")
_PARENT_WATCH = Path(__file__).with_name("parent_watch.py")
_TAIL_LINES = 40
_LOCAL_ACCOUNT = "000000000000"


class DeployError(RuntimeError):
    """A CDK command failed.

    ``step`` is the command, ``log`` the file with all its output, ``tail`` the last lines of the output.
    """

    def __init__(self, step: str, log: Path, tail: str) -> None:
        super().__init__(f"cdk {step} failed; the whole output is in {log}\n{tail}")
        self.step = step
        self.log = log
        self.tail = tail


@dataclass(frozen=True)
class Deployment:
    """Result of a run: whether the assembly was synthesised, the log file, and the seconds of each part."""

    synthesised: bool
    log: Path
    synth_seconds: float
    deploy_seconds: float


def deploy(
    stage: str = "local",
    *,
    endpoint: str | None = None,
    progress: Progress | None = None,
    checkout: Path = REPOSITORY,
    state: Path = DEFAULT_FOLDER,
) -> Deployment:
    """Deploy every stack of a stage from the checkout.

    Parameters
    ----------
    stage : str
        The CDK context's ``stage``.
    endpoint : str, optional
        The endpoint to deploy to; ``AWS_ENDPOINT_URL`` has precedence. With neither, AWS itself.
    progress : callable, optional
        Called with every line of output.
    checkout : Path
        The folder with ``app.py``, ``cdk.json`` and ``node_modules``.
    state : Path
        The folder of the assembly, the CLI's home and the log.

    Raises
    ------
    DeployError
        If the CDK CLI is not installed or one of its commands fails.
    """
    chosen = os.environ.get("AWS_ENDPOINT_URL") or endpoint
    run = _Run("deploy", stage, chosen, progress or (lambda line: None), checkout.resolve(), state.resolve())
    with run.alone():
        began = time.monotonic()
        synthesised = run.synthesise()
        middle = time.monotonic()
        run.bootstrap()
        run.deploy_stacks()
        return Deployment(synthesised, run.log, middle - began, time.monotonic() - middle)


def destroy(
    stage: str = "local",
    *,
    endpoint: str | None = None,
    progress: Progress | None = None,
    checkout: Path = REPOSITORY,
    state: Path = DEFAULT_FOLDER,
) -> None:
    """Delete every stack of a stage except retained resources. Parameters and errors as for :func:`deploy`."""
    chosen = os.environ.get("AWS_ENDPOINT_URL") or endpoint
    run = _Run("destroy", stage, chosen, progress or (lambda line: None), checkout.resolve(), state.resolve())
    with run.alone():
        run.synthesise()
        run.cdk("destroy", "--all", "--force", *run.app)


def commit(checkout: Path) -> str:
    """Return the checkout's commit, with ``-dirty`` if tracked files differ; ``unknown`` without git or a repository."""
    if shutil.which("git") is None:
        return "unknown"
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=False, cwd=checkout, capture_output=True, text=True)
    if head.returncode != 0:
        return "unknown"
    changes = subprocess.run(["git", "diff", "--quiet", "HEAD"], check=False, cwd=checkout, capture_output=True)
    return head.stdout.strip() + ("-dirty" if changes.returncode else "")


def environment(endpoint: str | None, home: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of the CDK CLI."""
    result = {
        **inherited,
        "CDK_HOME": str(home),
        "CI": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
        "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    }
    if endpoint is not None:
        result["AWS_ENDPOINT_URL"] = endpoint
    if clients.is_local(endpoint):
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
            result.pop(name, None)
        result |= {name.upper(): value for name, value in clients.LOCAL_CREDENTIALS.items()}
        result |= {"AWS_REGION": clients.LOCAL_REGION, "AWS_DEFAULT_REGION": clients.LOCAL_REGION}
        # A proxy cannot reach an endpoint on this machine.
        host = urlsplit(endpoint).hostname
        for name in ("NO_PROXY", "no_proxy"):
            result[name] = ",".join(filter(None, (result.get(name), str(host))))
    return result


def digest(checkout: Path, *context: str) -> str:
    """Return a digest of everything an assembly is made from: source files, interpreter, context."""
    result = hashlib.sha256("\n".join((sys.version, *context)).encode())
    for name in _SOURCES:
        root = checkout / name
        files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
        for path in files:
            if not any(part in _IGNORED for part in path.parts):
                result.update(f"\n{path.relative_to(checkout)}\n".encode())
                result.update(path.read_bytes())
    return result.hexdigest()


class _Run:
    """One run of the CDK CLI: its settings, its log and its commands."""

    def __init__(self, name: str, stage: str, endpoint: str | None, progress: Progress, checkout: Path, state: Path) -> None:
        self.log = state / f"{name}.log"
        self._stage = stage
        self._endpoint = endpoint
        self._progress = progress
        self._checkout = checkout
        self._state = state
        self._assembly = state / "assembly" / stage
        self._environment = environment(endpoint, state / "cdk-home", os.environ)
        self.app = ("--app", str(self._assembly))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder's deploy lock and start a new log."""
        self._state.mkdir(parents=True, exist_ok=True)
        with (self._state / "deploy.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.log.write_text("")
            yield

    def synthesise(self) -> bool:
        """Synthesise the assembly unless the kept one has the same digest; return whether it was synthesised."""
        revision = commit(self._checkout)
        wanted = digest(self._checkout, self._stage, revision)
        stamp = self._assembly.with_suffix(".digest")
        if stamp.exists() and stamp.read_text() == wanted and self._assembly.is_dir():
            return False
        stamp.unlink(missing_ok=True)
        shutil.rmtree(self._assembly, ignore_errors=True)
        self._assembly.parent.mkdir(parents=True, exist_ok=True)
        context = ("--context", f"stage={self._stage}", "--context", f"commit={revision}")
        self.cdk("synth", "--quiet", "--output", str(self._assembly), *context)
        stamp.write_text(wanted)
        return True

    def bootstrap(self) -> None:
        """Create CDK's bootstrap stack on a local cloud that has none; on AWS the account owner decides."""
        if not clients.is_local(self._endpoint):
            return
        formation = clients.session(self._endpoint).client("cloudformation")
        try:
            stacks = formation.describe_stacks(StackName="CDKToolkit")["Stacks"]
        except botocore.exceptions.ClientError:
            stacks = []
        if not any(stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE") for stack in stacks):
            self.cdk("bootstrap", f"aws://{_LOCAL_ACCOUNT}/{clients.LOCAL_REGION}", *self.app)

    def deploy_stacks(self) -> None:
        """Deploy every stack, first alone those that stop importing what another stack stops exporting."""
        options = ("--require-approval", "never", "--progress", "events", *self.app)
        try:
            first = release_first(self._assembly, clients.session(self._endpoint).client("cloudformation"))
        except (ValueError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise DeployError("deploy", self.log, str(error)) from error
        for stack in first:
            self.cdk("deploy", stack, "--exclusively", *options)
        self.cdk("deploy", "--all", "--concurrency", "1", *options)

    def cdk(self, step: str, *arguments: str) -> None:
        """Run one CDK command and wait for its end."""
        program = self._checkout / "node_modules" / ".bin" / "cdk"
        if not program.exists():
            raise DeployError(step, self.log, f"{program} does not exist; run `npm ci` in {self._checkout}")
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        with (
            self.log.open("a") as log,
            subprocess.Popen(
                [sys.executable, str(_PARENT_WATCH), str(os.getpid()), str(program), step, *arguments],
                cwd=self._checkout,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            ) as process,
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    log.write(line)
                    log.flush()
                    tail.append(line.rstrip())
                    self._progress(line.rstrip())
                code = process.wait()
            except BaseException:  # Ctrl-C too: leave no process running. parent_watch handles a killed parent.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                raise
        if code != 0:
            raise DeployError(step, self.log, "\n".join(tail))
