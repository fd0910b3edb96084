"""Start and stop the embedded cloud. Every call may be repeated, and every call may be interrupted.

No call depends on an earlier one. A lock allows one command at a time, and the kernel releases it when the command's
process dies. The server writes its own record before it listens, so a killed command leaves either no server or one
that the next command finds. The record of a dead server names no live process.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from local_cloud.state import DEFAULT_FOLDER, REPOSITORY, Record, StateFolder, code_digest, is_dead

DEFAULT_PORT = 4566

_START_DEADLINE = 60.0  # seconds
_STOP_DEADLINE = 15.0  # seconds between SIGTERM and SIGKILL
_KILL_DEADLINE = 15.0  # seconds that SIGKILL may take
_RESPONSE_DEADLINE = 10.0  # seconds; the machine may be busy
_PORT_DEADLINE = 2.0  # seconds that a killed server may still hold its port
_POLL = 0.02  # seconds

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Uses no proxy: endpoints are on this machine or in its own network."""


class CloudError(RuntimeError):
    """The embedded cloud could not be started or stopped; the message says what to do."""


@dataclass(frozen=True)
class Cloud:
    """An endpoint that serves AWS's API.

    ``ours`` is False when ``AWS_ENDPOINT_URL`` names the endpoint: then no server was started and none will be stopped.
    """

    endpoint: str
    ours: bool
    log: Path | None = None
    pid: int | None = None


@dataclass(frozen=True)
class Status:
    """Whether a server is running and responds; ``uptime`` is in seconds."""

    endpoint: str
    ours: bool
    running: bool
    healthy: bool
    pid: int | None = None
    uptime: float | None = None
    log: Path | None = None


def up(state: Path = DEFAULT_FOLDER, port: int | None = None, *, enforce_iam: bool = False) -> Cloud:
    """Start a cloud unless one is running, and return it.

    Parameters
    ----------
    state : Path
        The folder of its state.
    port : int, optional
        The loopback port; otherwise ``DRIFTLESS_PORT``, otherwise 4566. A running server keeps its port. It is restarted
        if it runs other code than this checkout's.
    enforce_iam : bool
        Check every request against the caller's policies, as the platform always does. Without it, experiments and
        tests of single services need no policies.

    Raises
    ------
    CloudError
        If another program uses the port, if the server does not start, or if ``AWS_ENDPOINT_URL`` is set and its
        endpoint does not respond.
    """
    given = os.environ.get("AWS_ENDPOINT_URL")
    if given:
        if not responds(given):
            raise CloudError(
                f"AWS_ENDPOINT_URL={given} does not respond: start it, or unset the variable to use the embedded cloud"
            )
        return Cloud(given, ours=False)
    folder = StateFolder(state.resolve())
    with _one_command(folder):
        running = folder.server()
        if running is not None and running[0].code not in ("", code_digest(enforce_iam)):
            # It runs earlier code of this checkout: restart it on the same port.
            _stop(running[1])
            port, running = running[0].port, None
        if running is not None and _becomes_healthy(*running):
            return Cloud(running[0].endpoint, ours=True, log=folder.log, pid=running[0].pid)
        folder.remove_record()
        stop_leftover_processes(folder)
        chosen = port if port is not None else chosen_port()
        if not _becomes_free(chosen):
            raise CloudError(
                f"port {chosen} on 127.0.0.1 is in use by another program: stop it, or choose another port with "
                f"DRIFTLESS_PORT, or set AWS_ENDPOINT_URL=http://127.0.0.1:{chosen} if it is the cloud you want to use"
            )
        return _start(folder, chosen, enforce_iam)


def down(state: Path = DEFAULT_FOLDER) -> bool:
    """Stop the cloud of a state folder and the processes it started; return whether one was running.

    Raises
    ------
    CloudError
        If the process survives SIGKILL.
    """
    folder = StateFolder(state.resolve())
    if not folder.root.is_dir():
        return False
    with _one_command(folder):
        running = folder.server()
        if running is not None:
            _stop(running[1])
        folder.remove_record()
        stop_leftover_processes(folder)
        return running is not None


def status(state: Path = DEFAULT_FOLDER) -> Status:
    """Return what is running, without changing anything."""
    given = os.environ.get("AWS_ENDPOINT_URL")
    if given:
        healthy = responds(given)
        return Status(given, ours=False, running=healthy, healthy=healthy)
    folder = StateFolder(state.resolve())
    running = folder.server()
    if running is None:
        return Status(f"http://127.0.0.1:{chosen_port()}", ours=True, running=False, healthy=False, log=folder.log)
    record, process = running
    uptime = time.time() - process.create_time()
    return Status(record.endpoint, True, True, responds(record.endpoint), record.pid, uptime, folder.log)


def chosen_port() -> int:
    """Return the port to start on: ``DRIFTLESS_PORT``, or 4566.

    Raises
    ------
    CloudError
        If the variable is not a port number.
    """
    text = os.environ.get("DRIFTLESS_PORT", str(DEFAULT_PORT))
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise CloudError(f"DRIFTLESS_PORT={text!r} is not a port number between 1 and 65535")
    return int(text)


def responds(endpoint: str) -> bool:
    """Whether the endpoint responds to the health check that MiniStack and LocalStack share."""
    try:
        with _direct.open(f"{endpoint}/_localstack/health", timeout=_RESPONSE_DEADLINE) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        return error.code < 500  # another implementation of the API is running
    except (OSError, ValueError, http.client.HTTPException):
        return False


def stop_leftover_processes(folder: StateFolder) -> None:
    """Kill processes that functions left running: those whose environment is of a function in this folder."""
    leftover = []
    packages = folder.data / "packages"
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if Path(process.environ().get("LAMBDA_TASK_ROOT", "/")).is_relative_to(packages):
                process.kill()
                leftover.append(process)
    _have_ended(leftover, _KILL_DEADLINE)


@contextlib.contextmanager
def _one_command(folder: StateFolder) -> Iterator[None]:
    folder.root.mkdir(parents=True, exist_ok=True)
    with folder.command_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(folder: StateFolder, port: int, enforce_iam: bool) -> Cloud:
    command = [sys.executable, "-m", "local_cloud.server", str(folder.root), str(port)]
    command += ["--enforce-iam"] if enforce_iam else []
    with folder.log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
        # Spawned, not a subprocess: the server must survive this process.
        pid = os.posix_spawn(
            sys.executable,
            command,
            {**os.environ, "PYTHONPATH": str(REPOSITORY)},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
            ],
            setsid=True,
        )
    spawned = psutil.Process(pid)
    record, process = Record(pid, time.time(), port), spawned
    healthy = False
    # A killed command may have left a server that had not yet written its record. It has the folder's lock, so the
    # server spawned here ends, and the other one is used.
    while not healthy:
        healthy = _becomes_healthy(record, process)
        serving = folder.server()
        if serving is None:
            raise CloudError(f"the embedded cloud ended while starting; see {folder.log}:\n{_tail(folder.log)}")
        record, process = serving
    if process.pid != pid:
        _stop(spawned)
    return Cloud(record.endpoint, ours=True, log=folder.log, pid=process.pid)


def _becomes_healthy(record: Record, process: psutil.Process) -> bool:
    """Wait until the server responds; return False if its process ends first."""
    deadline = time.monotonic() + _START_DEADLINE
    while time.monotonic() < deadline:
        if is_dead(process):
            return False
        if responds(record.endpoint):
            return True
        time.sleep(_POLL)
    raise CloudError(f"the embedded cloud (process {record.pid}) does not respond; stop it with `driftless down`")


def _stop(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGTERM)
    if _have_ended([process], _STOP_DEADLINE):
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if not _have_ended([process], _KILL_DEADLINE):
        raise CloudError(f"process {process.pid} does not end even after SIGKILL")


def _have_ended(processes: list[psutil.Process], within: float) -> bool:
    """Wait until all processes have ended, and return whether they have.

    A process stays a zombie until its parent waits for it. In a container whose first process does not reap orphans it
    stays one for ever, and psutil would wait for it for ever.
    """
    deadline = time.monotonic() + within
    while not all(is_dead(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    psutil.wait_procs(processes, timeout=0)  # reap those that are children of this process
    return True


def _becomes_free(port: int) -> bool:
    """Wait until the port is free and return whether it is; a server that was just killed may still hold it."""
    deadline = time.monotonic() + _PORT_DEADLINE
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(_POLL)
            else:
                return True


def _tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
