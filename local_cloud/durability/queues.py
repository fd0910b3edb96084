"""SQS: a message that was accepted is on disk before anyone is told so.

Whoever puts a message on a queue (SendMessage, a topic, a rule, a bucket, a dead-letter queue) wakes the pollers of
event source mappings once it is there; the queues are saved at that moment. A deletion is saved shortly after it, so a
crash may deliver a message twice, as SQS may. Saving costs as much as there are messages: fine for queues that are
drained, slow for one that holds many thousands.
"""

from __future__ import annotations

from collections.abc import Callable

from local_cloud import emulator
from local_cloud.durability.snapshots import Snapshots


def install(snapshots: Snapshots) -> None:
    """Save the queues whenever one of them got a message."""
    wake = emulator.module("core.concurrency").esm_wake
    wake_pollers: Callable[[], None] = wake.set

    def save_and_wake() -> None:
        snapshots.save("sqs")
        wake_pollers()

    wake.set = save_and_wake
