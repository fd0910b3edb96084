"""SQS: a message is on disk before its sender gets the response.

MiniStack wakes the pollers of event source mappings after each new message, whoever sent it (SendMessage, a topic, a
rule, a bucket, a dead-letter queue). The queues are saved at that moment. A deletion is saved shortly after it, so a
crash may deliver a message twice, as SQS may. Each save writes all messages, which is slow for a queue with many
thousands of them.
"""

from __future__ import annotations

from collections.abc import Callable

from local_cloud import emulator
from local_cloud.durability.snapshots import Snapshots


def install(snapshots: Snapshots) -> None:
    """Save the queues after each new message."""
    wake = emulator.module("core.concurrency").esm_wake
    wake_pollers: Callable[[], None] = wake.set

    def save_and_wake() -> None:
        snapshots.save("sqs")
        wake_pollers()

    wake.set = save_and_wake
