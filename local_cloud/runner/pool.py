"""Warm execution environments, kept for reuse.

An event takes an idle environment. When there is none, it waits in line for whichever comes first: one that another
event gives back, or a new one, which is what Lambda does. Events are served in the order they came. A function starts
at most as many environments at once as the machine has processors, because more would only make each of them slower;
and it starts one only when waiting for those there are would take longer than starting, or has. So a burst of short
events does not pay for dozens of processes that nobody needs a moment later, a function whose events are long gets its
environments at once, and an event whose environment is held by its own caller gets a new one in the end.

When the burst is over the extra environments are idle, and an idle one is closed after a while. An environment belongs
to one exact code and configuration: after an update the next event starts a new one, events already running or waiting
finish on the old one, and the old one is closed.
"""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

from local_cloud.runner.sandbox import Sandbox

logger = logging.getLogger("local_cloud.runner")

Key = tuple[str, str]
STARTS_AT_ONCE = os.cpu_count() or 1

_FIRST_GUESS = 1.0  # seconds a start is thought to take before one has been measured
_NEWEST = 0.2  # weight of the newest event in the running mean of their durations


@dataclass(eq=False)
class _Waiter:
    """An event in line; ``urgent`` once an environment shall be started for it."""

    create: Callable[[], Sandbox]
    urgent: bool
    given: Future[Sandbox] = field(default_factory=Future)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)


@dataclass(eq=False)
class _Line:
    """The environments made from one fingerprint, and the events that wait for one.

    ``busy`` maps to the moment an environment was taken. ``served`` is the mean time that an event holds one, and
    ``start`` what the last start took, both in seconds.
    """

    idle: list[Sandbox] = field(default_factory=list)
    busy: dict[Sandbox, float] = field(default_factory=dict)
    starting: set[Sandbox] = field(default_factory=set)
    waiting: deque[_Waiter] = field(default_factory=deque)
    served: float | None = None
    start: float = _FIRST_GUESS

    @property
    def empty(self) -> bool:
        return not (self.idle or self.busy or self.starting or self.waiting)

    def wait(self) -> float:
        """Seconds that one more event would wait if nothing new were started."""
        if self.served is None or not self.busy:
            return float("inf")
        return self.served * (len(self.waiting) + 1) / len(self.busy)

    def missing(self) -> int:
        """How many environments shall be starting and are not."""
        wanted = sum(waiter.urgent for waiter in self.waiting)
        if self.waiting and not self.busy:
            wanted = max(1, wanted)
        return min(wanted, STARTS_AT_ONCE) - len(self.starting)


class Pool:
    """Environments by function version and by fingerprint of what they were made from.

    Parameters
    ----------
    idle_limit : float
        Seconds an environment may wait for its next event.
    """

    def __init__(self, idle_limit: float) -> None:
        self._idle_limit = idle_limit
        self._lines: dict[Key, dict[str, _Line]] = {}
        self._closing = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._sweep, daemon=True, name="idle-environments").start()

    def acquire(self, key: Key, fingerprint: str, create: Callable[[], Sandbox]) -> Sandbox:
        """Take an environment of exactly this fingerprint, in turn; idle ones of the key's other fingerprints are closed.

        ``create`` makes an environment that has not been started. One that could not be started is handed out too: it
        answers its event with the reason.

        Raises
        ------
        Exception
            Whatever prevented an environment from being made.
        """
        with self._lock:
            lines = self._lines.setdefault(key, {})
            useless = _take_idle(line for made_from, line in lines.items() if made_from != fingerprint)
            line = lines.setdefault(fingerprint, _Line())
            waiter = None
            sandbox = _warm(line, useless)
            if sandbox is not None:
                line.busy[sandbox] = time.monotonic()
            else:
                waiter = _Waiter(create, urgent=line.wait() >= line.start)
                line.waiting.append(waiter)
                self._start_missing(line)
            patience = line.start
        _close(useless)
        if waiter is None:
            assert sandbox is not None
            return sandbox
        try:
            return waiter.given.result(patience)
        except TimeoutError:
            with self._lock:
                waiter.urgent = True
                self._start_missing(line)
        return waiter.given.result()

    def release(self, key: Key, fingerprint: str, sandbox: Sandbox) -> None:
        """Give an environment back to the next in line; one that died or was retired meanwhile is closed."""
        with self._lock:
            line = self._lines[key][fingerprint]
            held = time.monotonic() - line.busy.pop(sandbox)
            line.served = held if line.served is None else line.served + _NEWEST * (held - line.served)
            kept = self._offer(line, sandbox)
            self._start_missing(line)
        if not kept:
            sandbox.close()

    def retire(self, matches: Callable[[Key], bool]) -> None:
        """Close the idle environments of these keys, and the others when their event is done."""
        with self._lock:
            lines = [line for key, lines in self._lines.items() if matches(key) for line in lines.values()]
            outdated = _take_idle(lines)
            for line in lines:
                for sandbox in (*line.busy, *line.starting):
                    sandbox.retired = True
        _close(outdated)

    def close(self) -> None:
        """Close every environment, busy or not; events that wait for one fail."""
        with self._lock:
            self._closing.set()
            lines = [line for lines in self._lines.values() for line in lines.values()]
            sandboxes = [sandbox for line in lines for sandbox in (*line.idle, *line.busy, *line.starting)]
            for line in lines:
                line.idle.clear()
                while line.waiting:
                    line.waiting.popleft().given.set_exception(RuntimeError("the embedded cloud is stopping"))
        _close(sandboxes)

    def _start_missing(self, line: _Line) -> None:
        """Start what the line lacks, each on a thread of its own. The lock is held."""
        while line.missing() > 0 and not self._closing.is_set():
            waiter = next((waiter for waiter in line.waiting if waiter.urgent), line.waiting[0])
            try:
                sandbox = waiter.create()
                scope = waiter.context.copy()
                threading.Thread(target=scope.run, args=(self._start, line, sandbox), daemon=True, name="function-start").start()
                line.starting.add(sandbox)
            except Exception as error:  # noqa: BLE001 - it is this event's answer, and the others go on
                line.waiting.remove(waiter)
                waiter.given.set_exception(error)

    def _start(self, line: _Line, sandbox: Sandbox) -> None:
        began, failure = time.monotonic(), None
        try:
            works = sandbox.start()
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            failure, works = error, False
        with self._lock:
            line.starting.discard(sandbox)
            if works:
                line.start = time.monotonic() - began
            kept = False
            if failure is None:
                kept = self._offer(line, sandbox, fresh=True)
            elif line.waiting:
                line.waiting.popleft().given.set_exception(failure)
            else:
                logger.warning("an environment that nobody waits for any more could not be started: %s", failure)
            self._start_missing(line)
        if not kept:
            sandbox.close()

    def _offer(self, line: _Line, sandbox: Sandbox, *, fresh: bool = False) -> bool:
        """Hand an environment to the first in line, or keep it; False if it is of no more use. The lock is held.

        A fresh one serves one event even if it is retired or could not start: then it says why.
        """
        usable = sandbox.alive and not sandbox.retired and not self._closing.is_set()
        if line.waiting and (usable or fresh):
            line.busy[sandbox] = time.monotonic()
            line.waiting.popleft().given.set_result(sandbox)
            return True
        if usable:
            line.idle.append(sandbox)
        return usable

    def _sweep(self) -> None:
        while not self._closing.wait(self._idle_limit / 10):
            oldest = time.monotonic() - self._idle_limit
            with self._lock:
                expired = []
                for key, lines in list(self._lines.items()):
                    for fingerprint, line in list(lines.items()):
                        expired += [sandbox for sandbox in line.idle if sandbox.last_used < oldest]
                        line.idle = [sandbox for sandbox in line.idle if sandbox.last_used >= oldest]
                        if line.empty:
                            del lines[fingerprint]
                    if not lines:
                        del self._lines[key]
            _close(expired)


def _warm(line: _Line, dead: list[Sandbox]) -> Sandbox | None:
    """Take the idle environment that was used last; those that died while idle are added to ``dead``."""
    while line.idle:
        sandbox = line.idle.pop()
        if sandbox.alive:
            return sandbox
        dead.append(sandbox)
    return None


def _take_idle(lines: Iterator[_Line] | list[_Line]) -> list[Sandbox]:
    taken = []
    for line in lines:
        taken += line.idle
        line.idle = []
    return taken


def _close(sandboxes: list[Sandbox]) -> None:
    for sandbox in sandboxes:
        sandbox.close()
