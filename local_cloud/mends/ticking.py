"""Work that the cloud repeats for as long as it lives.

A thread that ended with an exception would end alarms or metrics for good while everything else looks well, so what goes wrong in
one round is logged, and the next round comes all the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger("local_cloud.ticking")


def every(seconds: float, work: Callable[[], None], *, name: str) -> Callable[[], None]:
    """Do something again and again on a thread of its own, ``seconds`` after the last time ended; return what ends that."""
    stopped = threading.Event()

    def repeat() -> None:
        while not stopped.wait(seconds):
            try:
                work()
            except Exception:
                logger.exception("%s failed; it is tried again in %g s", name, seconds)

    threading.Thread(target=repeat, name=name, daemon=True).start()
    return stopped.set
