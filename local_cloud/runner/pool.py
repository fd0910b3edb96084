"""A pool of warm execution environments.

An event takes an idle environment. If there is none, it waits in a queue for the first that becomes free or is started,
as in Lambda. Events are served in order. A function starts at most as many environments at once as the machine has
processors, because more would slow each other down. It starts one only if waiting is expected to take longer than a
start, or has taken longer. So a burst of short events does not start dozens of processes, a function with long events
gets new environments at once, and an event whose caller holds the only environment gets a new one.

An environment that is idle for some time is closed. An environment belongs to one version of code and configuration:
after an update the next event starts a new one, events that already run or wait finish on the old one, and then it is
closed.
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

_ASSUMED_START = 1.0  # seconds that a start takes, until one was measured
_WEIGHT = 0.2  # weight of the latest event in the moving average of durations


@dataclass(eq=False)
class _Waiter:
    """A queued event; ``urgent`` if an environment must be started for it."""

    create: Callable[[], Sandbox]
    urgent: bool
    given: Future[Sandbox] = field(default_factory=Future)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)


@dataclass(eq=False)
class _Group:
    """The environments of one fingerprint, and the events that wait for one.

    ``busy`` maps to the time when an environment was taken. ``served`` is the average time that an event holds one, and
    ``start`` the duration of the last start, both in seconds.
    """

    idle: list[Sandbox] = field(default_factory=list)
    busy: dict[Sandbox, float] = field(default_factory=dict)
    starting: set[Sandbox] = field(default_factory=set)
    waiting: deque[_Waiter] = field(default_factory=deque)
    served: float | None = None
    start: float = _ASSUMED_START

    @property
    def empty(self) -> bool:
        return not (self.idle or self.busy or self.starting or self.waiting)

    def wait(self) -> float:
        """Return the seconds that another event would wait if no environment were started."""
        if self.served is None or not self.busy:
            return float("inf")
        return self.served * (len(self.waiting) + 1) / len(self.busy)

    def missing(self) -> int:
        """Return how many more environments must be started."""
        wanted = sum(waiter.urgent for waiter in self.waiting)
        if self.waiting and not self.busy:
            wanted = max(1, wanted)
        return min(wanted, STARTS_AT_ONCE) - len(self.starting)


class Pool:
    """Environments by function version and by fingerprint of their code and configuration.

    Parameters
    ----------
    idle_limit : float
        Seconds after which an idle environment is closed.
    """

    def __init__(self, idle_limit: float) -> None:
        self._idle_limit = idle_limit
        self._groups: dict[Key, dict[str, _Group]] = {}
        self._closing = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._sweep, daemon=True, name="idle-environments").start()

    def acquire(self, key: Key, fingerprint: str, create: Callable[[], Sandbox]) -> Sandbox:
        """Wait for an environment of this fingerprint and take it; close idle ones of the key's other fingerprints.

        ``create`` returns an environment that is not started. An environment whose start failed is returned too: its
        response to the event is the error.

        Raises
        ------
        Exception
            The error that prevented the creation of an environment.
        """
        with self._lock:
            groups = self._groups.setdefault(key, {})
            outdated = _take_idle(group for made_from, group in groups.items() if made_from != fingerprint)
            group = groups.setdefault(fingerprint, _Group())
            waiter = None
            sandbox = _warm(group, outdated)
            if sandbox is not None:
                group.busy[sandbox] = time.monotonic()
            else:
                waiter = _Waiter(create, urgent=group.wait() >= group.start)
                group.waiting.append(waiter)
                self._start_missing(group)
            patience = group.start
        _close(outdated)
        if waiter is None:
            assert sandbox is not None
            return sandbox
        try:
            return waiter.given.result(patience)
        except TimeoutError:
            with self._lock:
                waiter.urgent = True
                self._start_missing(group)
        return waiter.given.result()

    def release(self, key: Key, fingerprint: str, sandbox: Sandbox) -> None:
        """Give an environment to the next event; close it if it died or was retired meanwhile."""
        with self._lock:
            group = self._groups[key][fingerprint]
            held = time.monotonic() - group.busy.pop(sandbox)
            group.served = held if group.served is None else group.served + _WEIGHT * (held - group.served)
            kept = self._offer(group, sandbox)
            self._start_missing(group)
        if not kept:
            sandbox.close()

    def retire(self, matches: Callable[[Key], bool]) -> None:
        """Close the idle environments of these keys, and the busy ones after their event."""
        with self._lock:
            groups = [group for key, groups in self._groups.items() if matches(key) for group in groups.values()]
            outdated = _take_idle(groups)
            for group in groups:
                for sandbox in (*group.busy, *group.starting):
                    sandbox.retired = True
        _close(outdated)

    def close(self) -> None:
        """Close every environment; events that wait for one fail."""
        with self._lock:
            self._closing.set()
            groups = [group for groups in self._groups.values() for group in groups.values()]
            sandboxes = [sandbox for group in groups for sandbox in (*group.idle, *group.busy, *group.starting)]
            for group in groups:
                group.idle.clear()
                while group.waiting:
                    group.waiting.popleft().given.set_exception(RuntimeError("the embedded cloud is stopping"))
        _close(sandboxes)

    def _start_missing(self, group: _Group) -> None:
        """Start the missing environments, each on its own thread. The caller holds the lock."""
        while group.missing() > 0 and not self._closing.is_set():
            waiter = next((waiter for waiter in group.waiting if waiter.urgent), group.waiting[0])
            try:
                sandbox = waiter.create()
                scope = waiter.context.copy()
                threading.Thread(target=scope.run, args=(self._start, group, sandbox), daemon=True, name="function-start").start()
                group.starting.add(sandbox)
            except Exception as error:  # noqa: BLE001 - it fails this event only
                group.waiting.remove(waiter)
                waiter.given.set_exception(error)

    def _start(self, group: _Group, sandbox: Sandbox) -> None:
        began, failure = time.monotonic(), None
        try:
            works = sandbox.start()
        except Exception as error:  # noqa: BLE001 - it fails the event that waits
            failure, works = error, False
        with self._lock:
            group.starting.discard(sandbox)
            if works:
                group.start = time.monotonic() - began
            kept = False
            if failure is None:
                kept = self._offer(group, sandbox, fresh=True)
            elif group.waiting:
                group.waiting.popleft().given.set_exception(failure)
            else:
                logger.warning("an environment that no event waits for could not be started: %s", failure)
            self._start_missing(group)
        if not kept:
            sandbox.close()

    def _offer(self, group: _Group, sandbox: Sandbox, *, fresh: bool = False) -> bool:
        """Give an environment to the first waiting event, or keep it; return False if it must be closed.

        A fresh one serves one event even if it is retired or its start failed; then the response is the error. The
        caller holds the lock.
        """
        usable = sandbox.alive and not sandbox.retired and not self._closing.is_set()
        if group.waiting and (usable or fresh):
            group.busy[sandbox] = time.monotonic()
            group.waiting.popleft().given.set_result(sandbox)
            return True
        if usable:
            group.idle.append(sandbox)
        return usable

    def _sweep(self) -> None:
        while not self._closing.wait(self._idle_limit / 10):
            oldest = time.monotonic() - self._idle_limit
            with self._lock:
                expired = []
                for key, groups in list(self._groups.items()):
                    for fingerprint, group in list(groups.items()):
                        expired += [sandbox for sandbox in group.idle if sandbox.last_used < oldest]
                        group.idle = [sandbox for sandbox in group.idle if sandbox.last_used >= oldest]
                        if group.empty:
                            del groups[fingerprint]
                    if not groups:
                        del self._groups[key]
            _close(expired)


def _warm(group: _Group, dead: list[Sandbox]) -> Sandbox | None:
    """Take the idle environment that was used last; add those that died while idle to ``dead``."""
    while group.idle:
        sandbox = group.idle.pop()
        if sandbox.alive:
            return sandbox
        dead.append(sandbox)
    return None


def _take_idle(groups: Iterator[_Group] | list[_Group]) -> list[Sandbox]:
    taken = []
    for group in groups:
        taken += group.idle
        group.idle = []
    return taken


def _close(sandboxes: list[Sandbox]) -> None:
    for sandbox in sandboxes:
        sandbox.close()
