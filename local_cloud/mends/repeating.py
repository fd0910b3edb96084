"""Repeat work on a thread for as long as the server runs.

An exception in one round is logged, and the next round runs. Otherwise a thread that ended with an exception would stop
alarms or metrics while everything else works.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger("local_cloud.repeating")


def every(seconds: float, work: Callable[[], None], *, name: str) -> Callable[[], None]:
    """Call ``work`` on a thread, ``seconds`` after the last call ended; return a function that stops this."""
    stopped = threading.Event()

    def repeat() -> None:
        while not stopped.wait(seconds):
            try:
                work()
            except Exception:
                logger.exception("%s failed; it is tried again in %g s", name, seconds)

    threading.Thread(target=repeat, name=name, daemon=True).start()
    return stopped.set
