"""S3 event notifications: an event is accepted before the response to the write that caused it is sent.

Restores "Amazon S3 Event Notifications" (delivered at least once). MiniStack sends each notification on a thread of
its own after the response, so a crash loses it. Here the events of a request are collected while it is served and
accepted when the object is on disk.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from typing import Any

from local_cloud.mends.patching import replace, service

_NAME = "ministack.services.s3"
TARGETS = (
    f"{_NAME}.handle_request",
    f"{_NAME}._fire_s3_event",
    f"{_NAME}._fire_s3_event_async",
    f"{_NAME}._bucket_notifications",
    f"{_NAME}._next_event_sequencer",
)

#: The events of the S3 request that is being served; each call accepts one.
_events: contextvars.ContextVar[list[Callable[[], None]]] = contextvars.ContextVar("object_events")


def apply() -> None:
    """Replace S3's notification threads."""
    replace(f"{_NAME}._fire_s3_event_async", _collect)
    replace(f"{_NAME}.handle_request", _accept_before_response(service("s3").handle_request))


def _collect(bucket: str, key: str, event_name: str, *details: Any, **more: Any) -> None:
    """Keep an event until its request has been served; outside a request, accept it now."""
    buckets = service("s3")
    if bucket not in buckets._bucket_notifications:
        return
    more["sequencer"] = buckets._next_event_sequencer(event_name)
    scope = contextvars.copy_context()
    accept = functools.partial(scope.run, buckets._fire_s3_event, bucket, key, event_name, *details, **more)
    events = _events.get(None)
    if events is None:
        accept()
    else:
        events.append(accept)


def _accept_before_response(original: Callable[..., Any]) -> Callable[..., Any]:
    async def handle(*arguments: Any, **named: Any) -> Any:
        events: list[Callable[[], None]] = []
        token = _events.set(events)
        try:
            response = await original(*arguments, **named)
        finally:
            _events.reset(token)
        for accept in events:
            accept()
        return response

    return handle
