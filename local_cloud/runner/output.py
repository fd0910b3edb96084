"""What a function's process writes, as log events in the order it wrote them.

Standard output, standard error and the runtime client's ``logging`` records share one pipe. The records arrive in the
frames of Lambda's telemetry contract (a magic number, a length, a time, the message), which is how a multi-line record
stays one event; everything else is text, one event a line. Nobody ever waits for a line that may not come: by the time
the result has been posted its output is already in the pipe, so reading what is there is reading everything.
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
        The pipe's read end; this object closes it.
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
        """Keep the pipe from filling while the function runs, and close it when every writer is gone."""
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
                    return  # the rest of the frame is still on its way
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
