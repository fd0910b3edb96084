"""Where the embedded cloud keeps what it keeps, and how a process of ours is recognised.

Everything lies under one folder, ``.driftless`` in the repository unless told otherwise: ``cloud.json`` says which
process serves which port, ``cloud.log`` is what it said, ``notifications.log`` is what it would have mailed, ``data/`` is
what AWS would keep. The record carries the process's start time beside its number, because numbers are reused and a stranger
must never be stopped.
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
    """The process that serves a state folder; ``started`` is in seconds since 1970, ``code`` says what it was made from."""

    pid: int
    started: float
    port: int
    code: str = ""

    @property
    def endpoint(self) -> str:
        """The URL it serves."""
        return f"http://127.0.0.1:{self.port}"


def code_digest(enforce_iam: bool) -> str:
    """Identify what the embedded cloud runs: this package's sources, the emulator's version, and whether it enforces IAM."""
    result = hashlib.sha256(f"{version('ministack')} {enforce_iam}".encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        result.update(path.read_bytes())
    return result.hexdigest()


def is_dead(process: psutil.Process) -> bool:
    """Whether a process has ended, though its parent may not have noticed."""
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
        """What the services keep."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """What the server process printed, across restarts."""
        return self.root / "cloud.log"

    @property
    def notifications(self) -> Path:
        """What topics published and no address on a laptop gets."""
        return self.root / "notifications.log"

    @property
    def server_lock(self) -> Path:
        """Held by the one server that may use this folder."""
        return self.root / "server.lock"

    @property
    def command_lock(self) -> Path:
        """Held by the command that starts or stops it."""
        return self.root / "command.lock"

    def write_record(self, port: int, enforce_iam: bool) -> None:
        """Note that the calling process serves this folder; the file is whole at any moment."""
        record = Record(os.getpid(), psutil.Process().create_time(), port, code_digest(enforce_iam))
        unfinished = self._record_file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(record)))
        unfinished.replace(self._record_file)

    def forget_record(self) -> None:
        """Remove the note."""
        self._record_file.unlink(missing_ok=True)

    def read_record(self) -> Record | None:
        """Return the note, or None if there is none that can be read."""
        try:
            return Record(**json.loads(self._record_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def server(self) -> tuple[Record, psutil.Process] | None:
        """Return the live process that serves this folder.

        The record names it; if the record is lost, the server's command line still does.
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
