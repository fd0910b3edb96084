"""Enforce the memory limit of functions, as Lambda's cgroup does.

A limit on address space would be wrong, because numeric libraries reserve far more memory than they use. So one thread
measures the resident memory of every process tree that serves an event, several times a second, and kills a group that
exceeds its limit. Idle functions are not measured.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_INTERVAL = 0.05  # seconds between two measurements
_MEGABYTE = 1 << 20
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


class Memory:
    """The memory of one process tree.

    Parameters
    ----------
    pid : int
        The tree's root, which leads its own process group.
    limit_mb : int
        The function's memory size.
    """

    def __init__(self, pid: int, limit_mb: int) -> None:
        self._pid = pid
        self._limit = limit_mb * _MEGABYTE
        self._peak = 0

    def measure(self) -> None:
        """Measure the tree, and kill it if it exceeds its limit."""
        total = 0
        for pid in _tree(self._pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += psutil.Process(pid).memory_info().rss
        self._peak = max(self._peak, total)
        if total > self._limit:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)

    def peak_mb(self) -> int:
        """Return the highest memory seen, in MiB and never above the limit, as a REPORT line shows it."""
        with contextlib.suppress(OSError):  # the process may be gone
            match = _PEAK.search(Path(f"/proc/{self._pid}/status").read_text())
            if match:
                self._peak = max(self._peak, int(match.group(1)) << 10)
        return min(self._peak, self._limit) // _MEGABYTE


_watched: set[Memory] = set()
_change = threading.Condition()


@contextlib.contextmanager
def guard(memory: Memory) -> Iterator[None]:
    """Watch a process tree while the block runs."""
    _start_watching()
    with _change:
        _watched.add(memory)
        _change.notify()
    try:
        yield
    finally:
        with _change:
            _watched.discard(memory)


@functools.cache
def _start_watching() -> None:
    threading.Thread(target=_watch, daemon=True, name="memory-watchdog").start()


def _watch() -> None:
    while True:
        with _change:
            while not _watched:
                _change.wait()
            working = list(_watched)
        for memory in working:
            memory.measure()
        time.sleep(_INTERVAL)


def _tree(pid: int) -> Iterator[int]:
    """Yield a process and its descendants, from the kernel's lists of children."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))
