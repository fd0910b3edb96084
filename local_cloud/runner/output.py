"""Read the output of a function's process as log events, in the order of writing.

Standard output, standard error and the runtime client's ``logging`` records share one pipe. A log record arrives in a
frame of Lambda's telemetry format (magic number, length, time, message), so a record of several lines is one event. Other
output is text, one event per line. The reader never waits for more output: when the runtime posts a result, the output
of the invocation is already in the pipe.
"""

from __future__ import annotations

import os
import select
import threading
import time
from dataclasses import dataclass

_FRAME_HEADER = 16  # magic and level (4), length (4), microseconds (8)
_FRAME_MAGIC = b"\xa5\x5a\x00"  # never part of valid UTF-8 text
_READ_SIZE = 1 << 16
_EVENT_LIMIT = 256 * 1024  # CloudWatch cuts an event at 256 KB


@dataclass(frozen=True)
class LogEvent:
    """One line of a log stream; the time is in milliseconds since 1970."""

    timestamp: int
    message: str


class OutputReader:
    """Collect a process's output from the read end of its pipe.

    Parameters
    ----------
    descriptor : int
        The pipe's read end, which this object closes.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._pending = b""
        self._events: list[LogEvent] = []
        self._ended = False
        self._lock = threading.Lock()
        threading.Thread(target=self._follow, daemon=True, name="function-output").start()

    def drain(self) -> list[LogEvent]:
        """Return the events written since the last call."""
        with self._lock:
            self._read_available()
            events, self._events = self._events, []
            return events

    def _follow(self) -> None:
        """Read while the function runs, so that the pipe does not fill; close it when all writers have closed it."""
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN | select.POLLHUP)
        while not self._ended:
            poller.poll()
            with self._lock:
                self._read_available()
        os.close(self._descriptor)

    def _read_available(self) -> None:
        while not self._ended:
            try:
                data = os.read(self._descriptor, _READ_SIZE)
            except BlockingIOError:
                return
            self._ended = not data
            self._pending += data
            self._split(final=self._ended)

    def _split(self, *, final: bool) -> None:
        now = int(time.time() * 1000)
        while self._pending:
            if self._pending.startswith(_FRAME_MAGIC):
                end = _FRAME_HEADER + int.from_bytes(self._pending[4:8], "big")
                if len(self._pending) < _FRAME_HEADER or len(self._pending) < end:
                    return  # the rest of the frame was not yet written
                moment = int.from_bytes(self._pending[8:_FRAME_HEADER], "big") // 1000
                self._add(moment, self._pending[_FRAME_HEADER:end])
                self._pending = self._pending[end:]
                continue
            frame = self._pending.find(_FRAME_MAGIC)
            text = self._pending if frame < 0 else self._pending[:frame]
            newline = text.find(b"\n")
            if newline < 0 and frame < 0 and not final:
                return
            end = newline + 1 if newline >= 0 else len(text)
            self._add(now, self._pending[:end])
            self._pending = self._pending[end:]

    def _add(self, timestamp: int, message: bytes) -> None:
        text = message[:_EVENT_LIMIT].decode("utf-8", errors="replace").rstrip("\r\n")
        if text:
            self._events.append(LogEvent(timestamp, text))
