"""SNS: write every published message to a log file, because a local cloud sends no mail.

On AWS a topic mails its messages to the subscribed addresses. Here every message that a topic publishes is a line of
``notifications.log`` in the state folder: a JSON object with the time, the topic, the subject and the message as an
address would get it. ``tail -f .driftless/notifications.log`` shows them. A log larger than a megabyte is renamed to
``notifications.log.1``, which replaces an earlier one. If the log cannot be written, the message is still delivered.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_cloud.mends.patching import core, replace, require, service
from local_cloud.state import StateFolder

_NAME = "ministack.services.sns"
TARGETS = (
    f"{_NAME}._fanout",
    f"{_NAME}._topic_by_arn_any_scope",
    f"{_NAME}._resolve_message_for_protocol",
    "ministack.core.persistence.STATE_DIR",
)

MAX_BYTES = 1_000_000

logger = logging.getLogger("local_cloud.notifications")


class NotificationLog:
    """A log of messages in two files of limited size.

    Parameters
    ----------
    path : pathlib.Path
        The file for the next line.
    max_bytes : int
        The size at which the file is renamed.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    def append(self, topic: str, subject: str, message: str) -> None:
        """Write one message."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "topic": topic, "subject": subject, "message": message}, ensure_ascii=False)
        with self._lock:
            if self._path.exists() and self._path.stat().st_size >= self._max_bytes:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            with self._path.open("a", encoding="utf-8", errors="replace") as log:
                log.write(f"{line}\n")


def _fan_out(original: Callable[..., Any], log: NotificationLog) -> Callable[..., Any]:
    def fan_out(
        topic_arn: str, message_id: str, message: str, subject: str = "", message_structure: str = "", *rest: Any, **named: Any
    ) -> Any:
        topics = service("sns")
        if topics._topic_by_arn_any_scope(topic_arn) is not None:
            text = topics._resolve_message_for_protocol(message, message_structure, "email")
            try:
                log.append(topic_arn, subject, text)
            except OSError:
                logger.exception("a message of %s could not be logged; it is still delivered", topic_arn)
        return original(topic_arn, message_id, message, subject, message_structure, *rest, **named)

    return fan_out


def apply() -> None:
    """Log the messages that topics publish."""
    require(TARGETS)
    root = Path(core("persistence").STATE_DIR).parents[1]
    log = NotificationLog(StateFolder(root).notifications)
    replace(f"{_NAME}._fanout", _fan_out(service("sns")._fanout, log))
