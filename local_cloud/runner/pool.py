"""Warm execution environments, kept for reuse.

Concurrent events of a function run in environments of their own; when the burst is over the extra ones are idle, and
an idle one is closed after a while. An environment belongs to one exact code and configuration: after an update the
next event starts a new one, events already running finish on the old one, and the old one is closed.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable

from local_cloud.runner.sandbox import Sandbox

Key = tuple[str, str]


class Pool:
    """Environments by function version and by fingerprint of what they were made from.

    Parameters
    ----------
    idle_limit : float
        Seconds an environment may wait for its next event.
    """

    def __init__(self, idle_limit: float) -> None:
        self._idle_limit = idle_limit
        self._idle: dict[Key, list[tuple[str, Sandbox]]] = defaultdict(list)
        self._busy: dict[Key, set[Sandbox]] = defaultdict(set)
        self._lock = threading.Lock()
        threading.Thread(target=self._sweep, daemon=True, name="idle-environments").start()

    def acquire(self, key: Key, fingerprint: str, create: Callable[[], Sandbox]) -> Sandbox:
        """Take a warm environment of exactly this fingerprint, or a new one; others of the key are closed."""
        with self._lock:
            idle = self._idle[key]
            outdated = [sandbox for made_from, sandbox in idle if made_from != fingerprint]
            idle[:] = [entry for entry in idle if entry[0] == fingerprint]
            sandbox = idle.pop()[1] if idle else create()
            self._busy[key].add(sandbox)
        _close(outdated)
        return sandbox

    def release(self, key: Key, fingerprint: str, sandbox: Sandbox) -> None:
        """Give an environment back; one that died or was retired meanwhile is closed."""
        with self._lock:
            self._busy[key].discard(sandbox)
            keep = sandbox.alive and not sandbox.retired
            if keep:
                self._idle[key].append((fingerprint, sandbox))
        if not keep:
            sandbox.close()

    def retire(self, matches: Callable[[Key], bool]) -> None:
        """Close the idle environments of these keys, and the busy ones when their event is done."""
        with self._lock:
            outdated = [sandbox for key in self._idle if matches(key) for _, sandbox in self._idle[key]]
            for key in [key for key in self._idle if matches(key)]:
                del self._idle[key]
            for key, sandboxes in self._busy.items():
                if matches(key):
                    for sandbox in sandboxes:
                        sandbox.retired = True
        _close(outdated)

    def close(self) -> None:
        """Close every environment, busy or not."""
        with self._lock:
            sandboxes = [sandbox for entries in self._idle.values() for _, sandbox in entries]
            sandboxes += [sandbox for busy in self._busy.values() for sandbox in busy]
            self._idle.clear()
        _close(sandboxes)

    def _sweep(self) -> None:
        while True:
            time.sleep(self._idle_limit / 10)
            oldest = time.monotonic() - self._idle_limit
            with self._lock:
                expired = [s for entries in self._idle.values() for _, s in entries if s.last_used < oldest]
                for key, entries in self._idle.items():
                    self._idle[key] = [entry for entry in entries if entry[1] not in expired]
            _close(expired)


def _close(sandboxes: list[Sandbox]) -> None:
    for sandbox in sandboxes:
        sandbox.close()
