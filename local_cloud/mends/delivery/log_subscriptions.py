"""CloudWatch Logs subscription filters whose destination is a Lambda function.

Matching events are stored on disk before the log call returns. A thread then sends the events of one filter and one
log stream as one asynchronous invocation, in the order they were logged. Their ids stay the same when a batch is
delivered again. Retries, on-failure destination and dead-letter queue are those of any asynchronous invocation. Batches
of one stream are delivered one after another.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

from local_cloud.mends.delivery.async_invoke import AsyncInvoker
from local_cloud.mends.delivery.filter_patterns import Predicate, UnsupportedFilterPattern, compile_pattern
from local_cloud.mends.delivery.undelivered_events import LogEvent, LogStreamKey, UndeliveredEvents
from local_cloud.mends.patching import core, service

logger = logging.getLogger("local_cloud.log_subscriptions")

#: Compressed, a batch stays well below the payload limit of an asynchronous invocation (1 MB, AWS "Lambda quotas").
MAX_BATCH_EVENTS = 10_000
MAX_BATCH_CHARACTERS = 2_000_000
#: Seconds that matched events wait for more events before a batch is sent.
LINGER_SECONDS = 0.2


class LogSubscriptions:
    """Send matching log events to their subscribers.

    Parameters
    ----------
    undelivered : UndeliveredEvents
        Stores matched events; those that it already contains are sent first.
    invoker : AsyncInvoker
        Delivers the batches.
    """

    def __init__(self, undelivered: UndeliveredEvents, invoker: AsyncInvoker) -> None:
        self._undelivered = undelivered
        self._invoker = invoker
        self._arrived = threading.Event()
        self._arrived.set()
        self._sequence = 0
        self._sequence_lock = threading.Lock()
        threading.Thread(target=self._batch, name="log-subscriptions", daemon=True).start()

    def accept(self, group_name: str, stream_name: str, events: Sequence[dict[str, Any]]) -> None:
        """Store the events of one log call for each subscription filter they match.

        Parameters
        ----------
        group_name, stream_name : str
            Where the events were logged, in the account and region of the current request.
        events : sequence of dict
            Each with ``timestamp`` (milliseconds) and ``message``.
        """
        group = service("cloudwatch_logs")._log_groups.get(group_name)
        filters = (group or {}).get("subscriptionFilters") or {}
        responses = core("responses")
        for subscription in list(filters.values()):
            destination = subscription.get("destinationArn", "")
            if ":function:" not in destination or _feeds_itself(group_name, destination):
                continue
            matches = predicate(subscription.get("filterPattern", ""))
            matched = [self._event(stream_name, event) for event in events if matches(event.get("message", ""))]
            if matched:
                key = LogStreamKey(
                    account=responses.get_account_id(),
                    region=responses.get_region(),
                    log_group=group_name,
                    log_stream=stream_name,
                    filter_name=subscription["filterName"],
                    destination=destination,
                )
                self._undelivered.append_log_events(key, matched)
                self._arrived.set()

    def _event(self, stream_name: str, event: dict[str, Any]) -> LogEvent:
        timestamp = int(event.get("timestamp") or time.time() * 1000)
        message = str(event.get("message", ""))
        with self._sequence_lock:
            self._sequence += 1
            sequence = self._sequence
        # As in AWS: 56 decimal digits, unique and ordered by time.
        salt = hashlib.sha256(f"{os.getpid()}:{sequence}:{time.time_ns()}:{stream_name}".encode()).digest()
        event_id = f"{timestamp:018d}{int.from_bytes(salt[:15], 'big') % 10**38:038d}"
        return LogEvent(event_id, timestamp, message)

    def _batch(self) -> None:
        while True:
            self._arrived.wait()
            time.sleep(LINGER_SECONDS)
            self._arrived.clear()
            try:
                for key in self._undelivered.waiting_log_streams():
                    self._send(key)
            except Exception:
                # The events are still stored; the next round sends them.
                logger.exception("batching log events failed")
                self._arrived.set()

    def _send(self, key: LogStreamKey) -> None:
        while True:
            events, last = self._undelivered.read_log_events(key, MAX_BATCH_EVENTS, MAX_BATCH_CHARACTERS)
            if not events:
                return
            payload = json.dumps({"awslogs": {"data": _encode(key, events)}})
            order_key = f"{key.log_group}\n{key.filter_name}\n{key.log_stream}"
            self._invoker.enqueue(self._undelivered.replace_log_events_by_invocation(key, last, payload, order_key))


@functools.cache
def predicate(pattern: str) -> Predicate:
    """Compile a stored pattern; one that an earlier release stored and this one does not support matches nothing."""
    try:
        return compile_pattern(pattern)
    except UnsupportedFilterPattern as error:
        logger.warning("a subscription filter delivers nothing: %s", error)
        return lambda message: False


def _feeds_itself(group_name: str, destination: str) -> bool:
    """Whether a function's own log would invoke it in an endless loop."""
    return group_name == "/aws/lambda/" + destination.split(":function:")[1].split(":")[0]


def _encode(key: LogStreamKey, events: Sequence[LogEvent]) -> str:
    """The ``awslogs.data`` text: gzipped, base64-encoded JSON."""
    document = {
        "messageType": "DATA_MESSAGE",
        "owner": key.account,
        "logGroup": key.log_group,
        "logStream": key.log_stream,
        "subscriptionFilters": [key.filter_name],
        "logEvents": [{"id": event.event_id, "timestamp": event.timestamp, "message": event.message} for event in events],
    }
    return base64.b64encode(gzip.compress(json.dumps(document).encode(), compresslevel=1)).decode()
