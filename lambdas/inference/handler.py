"""API Gateway → inference: the HTTP application, composed at the first event and kept while the process lives."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from driftless.entrypoint.inference import compose


@cache
def _application() -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    return compose()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one REST API event."""
    return _application()(event, context)
