"""The files of an embedded cloud's state, and how its server process is identified.

All files are in one folder, by default ``.driftless`` in the repository. ``cloud.json`` is the record of the server
process and its port, ``cloud.log`` its output, ``notifications.log`` the messages that topics published, and ``data/``
what AWS would store. The record has the process's start time as well as its id, because ids are reused and another
program's process must never be stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_FOLDER = REPOSITORY / ".driftless"


@dataclass(frozen=True)
class Record:
    """The server process of a state folder; ``started`` is in seconds since 1970, ``code`` is its :func:`code_digest`."""

    pid: int
    started: float
    port: int
    code: str = ""

    @property
    def endpoint(self) -> str:
        """The URL it serves."""
        return f"http://127.0.0.1:{self.port}"


def code_digest(enforce_iam: bool) -> str:
    """Return a digest of what a server runs: this package's sources, MiniStack's version, and whether IAM is enforced."""
    result = hashlib.sha256(f"{version('ministack')} {enforce_iam}".encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        result.update(path.read_bytes())
    return result.hexdigest()


def is_dead(process: psutil.Process) -> bool:
    """Whether a process has ended, even if it is still a zombie."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@dataclass(frozen=True)
class StateFolder:
    """The files of one embedded cloud."""

    root: Path

    @property
    def data(self) -> Path:
        """The state of the services."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """The output of the server process, across restarts."""
        return self.root / "cloud.log"

    @property
    def notifications(self) -> Path:
        """The messages that topics published; a local cloud sends no mail."""
        return self.root / "notifications.log"

    @property
    def server_lock(self) -> Path:
        """Lock of the server process that uses this folder."""
        return self.root / "server.lock"

    @property
    def command_lock(self) -> Path:
        """Lock of the command that starts or stops the server."""
        return self.root / "command.lock"

    def write_record(self, port: int, enforce_iam: bool) -> None:
        """Record atomically that the calling process serves this folder."""
        record = Record(os.getpid(), psutil.Process().create_time(), port, code_digest(enforce_iam))
        unfinished = self._record_file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(record)))
        unfinished.replace(self._record_file)

    def remove_record(self) -> None:
        """Remove the record."""
        self._record_file.unlink(missing_ok=True)

    def read_record(self) -> Record | None:
        """Return the record, or None if there is no readable one."""
        try:
            return Record(**json.loads(self._record_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def server(self) -> tuple[Record, psutil.Process] | None:
        """Return the live process that serves this folder.

        It is found by the record or, if there is none, by its command line.
        """
        record = self.read_record()
        if record is not None:
            try:
                process = psutil.Process(record.pid)
                if abs(process.create_time() - record.started) < 1.0 and not is_dead(process):
                    return record, process
            except psutil.NoSuchProcess:
                pass
        for process in psutil.process_iter():
            try:
                command = process.cmdline()
                if command[1:4] == ["-m", "local_cloud.server", str(self.root)] and not is_dead(process):
                    return Record(process.pid, process.create_time(), int(command[4])), process
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return None

    @property
    def _record_file(self) -> Path:
        return self.root / "cloud.json"
