"""One execution environment: a function's process, its Runtime API and its output.

It exists from its first invocation until its pool closes it, serves one event at a time, and continues after an
exception of the handler, as in Lambda. A timeout, the memory limit or the process's exit ends it. All processes are
started from one thread that never ends, because the kernel sends the parent-death signal when the starting thread ends.
So when the server dies, its functions die too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_cloud.runner import watchdog
from local_cloud.runner.output import LogEvent, OutputReader
from local_cloud.runner.runtime_api import Invocation, RuntimeApi, error_payload

_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
_PYTHON = str(getattr(sys, "_base_executable", sys.executable))  # the interpreter without the virtual environment
_INIT_LIMIT = 10.0  # seconds; after it Lambda starts again with the function's own timeout
_EXIT_CHECK = 0.05  # seconds between checks whether the process has ended
_RESPONSE_DEADLINE = 0.2  # seconds after the process's exit that its posted response may take

_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="function-starter")


@dataclass(frozen=True)
class Code:
    """The folders of a function's files, and what composes its environment variables."""

    task_root: Path
    opt: Path
    runtime: Path
    environment: Callable[[str, str, Path], dict[str, str]]


@dataclass(frozen=True)
class Outcome:
    """Result of one invocation: the response, the log lines, and the values of the REPORT line."""

    response: bytes
    failed: bool
    events: list[LogEvent]
    duration_ms: float
    init_ms: float | None
    peak_mb: int
    status: str | None = None


class Sandbox:
    """A process that serves a function's events one after the other.

    Parameters
    ----------
    config : mapping
        The function's configuration, as GetFunctionConfiguration returns it.
    code : callable
        Unpacks its files when the process is first started, and returns their folders.
    """

    def __init__(self, config: Mapping[str, Any], code: Callable[[], Code]) -> None:
        self.memory_mb = int(config.get("MemorySize", 128))
        self.timeout = float(config.get("Timeout", 3))
        self.log_stream = "{:%Y/%m/%d}/[{}]{}".format(datetime.now(UTC), config.get("Version", "$LATEST"), uuid.uuid4().hex)
        self.retired = False
        self.last_used = time.monotonic()
        self._code = code
        self._api: RuntimeApi | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._output: OutputReader | None = None
        self._memory: watchdog.Memory | None = None
        self._temporary: Path | None = None
        self._init_ms: float | None = None  # until the first event's REPORT line contains it
        self._failure: bytes | None = None

    @property
    def alive(self) -> bool:
        """Whether the process can take another event."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> bool:
        """Start the process and wait until it polls for its first event; return False if it does not.

        Then the response of :meth:`invoke` is the error.

        Raises
        ------
        OSError
            If the function's files cannot be unpacked or the process cannot be started.
        """
        code = self._code()  # not part of the measured initialisation
        began = time.monotonic()
        self._failure = self._initialise(code)
        self._init_ms = (time.monotonic() - began) * 1000
        self.last_used = time.monotonic()
        return self._failure is None

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run one event on the started process."""
        init_ms, self._init_ms = self._init_ms, None
        if self._failure is not None:
            return self._finish(self._failure, True, 0.0, init_ms, "error")
        api, process = self._api, self._process
        assert api is not None and process is not None and self._memory is not None
        invocation.deadline_ms = int((time.time() + self.timeout) * 1000)
        began = time.monotonic()
        with watchdog.guard(self._memory):
            api.offer(invocation)
            responded = self._await(invocation, process, began + self.timeout)
        elapsed = (time.monotonic() - began) * 1000
        self.last_used = time.monotonic()
        if responded:
            status = "error" if invocation.fatal else None
            return self._finish(invocation.response or b"null", invocation.failed, elapsed, init_ms, status)
        if process.poll() is None:
            message = f"RequestId: {invocation.request_id} Error: Task timed out after {self.timeout:.2f} seconds"
            return self._finish(error_payload("Sandbox.Timedout", message), True, elapsed, init_ms, "timeout")
        message = f"RequestId: {invocation.request_id} Error: Runtime exited {_how(process.returncode)}"
        return self._finish(error_payload("Runtime.ExitError", message), True, elapsed, init_ms, "error")

    def close(self) -> None:
        """Kill the process and its children, and remove its temporary folder. May be called again."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):  # the process and its group have ended already
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._api is not None:
            self._api.close()
            self._api = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _initialise(self, code: Code) -> bytes | None:
        """Start the process and wait for its first poll; return the error record if there is none."""
        for limit in (_INIT_LIMIT, self.timeout):
            self._start(code)
            api, process = self._api, self._process
            assert api is not None and process is not None and self._memory is not None
            deadline = time.monotonic() + limit
            with watchdog.guard(self._memory):
                while not api.initialised.wait(_EXIT_CHECK):
                    if process.poll() is not None or time.monotonic() > deadline:
                        break
            if api.init_error is not None:
                return api.init_error
            if api.initialised.is_set():
                return None
            if process.poll() is not None:
                return error_payload("Runtime.ExitError", f"Error: Runtime exited {_how(process.returncode)}")
            self.close()
        return error_payload("Sandbox.Timedout", f"Error: Task timed out after {self.timeout:.2f} seconds")

    def _start(self, code: Code) -> None:
        self._api = RuntimeApi()
        self._temporary = Path(tempfile.mkdtemp(prefix="driftless-function-"))
        environment = code.environment(self._api.address, self.log_stream, self._temporary)
        reading, writing = os.pipe()
        environment["_LAMBDA_TELEMETRY_LOG_FD"] = "1"
        command = [_PYTHON, "-S", "-P", "-s", "-X", "utf8", str(_BOOTSTRAP), str(os.getpid())]
        try:
            self._process = _starter.submit(
                subprocess.Popen,
                [*command, str(code.runtime), str(code.opt)],
                cwd=code.task_root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            ).result()
        finally:
            os.close(writing)
        self._output = OutputReader(reading)
        self._memory = watchdog.Memory(self._process.pid, self.memory_mb)

    def _await(self, invocation: Invocation, process: subprocess.Popen[bytes], deadline: float) -> bool:
        """Wait for the response; return False after the deadline or if the process ends without one."""
        while True:
            if invocation.done.wait(max(0.0, min(_EXIT_CHECK, deadline - time.monotonic()))):
                return True
            if process.poll() is not None:
                return invocation.done.wait(_RESPONSE_DEADLINE)
            if time.monotonic() >= deadline:
                return False

    def _finish(self, response: bytes, failed: bool, duration_ms: float, init_ms: float | None, status: str | None) -> Outcome:
        peak = self._memory.peak_mb() if self._memory is not None else 0
        if status is not None:
            self.close()
        events = self._output.drain() if self._output is not None else []
        return Outcome(response, failed, events, duration_ms, init_ms, peak, status)


def _how(code: int) -> str:
    """Describe how a process ended, in Lambda's words."""
    if code >= 0:
        return f"with error: exit status {code}" if code else "without providing a reason"
    name = "killed" if -code == signal.SIGKILL else signal.strsignal(-code) or str(-code)
    return f"with error: signal: {name.lower()}"
