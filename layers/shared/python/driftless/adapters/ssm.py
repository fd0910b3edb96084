"""Reading one SSM parameter, by which a deployment publishes a value to its functions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from driftless.adapters.aws import translated

REMEMBERED_SECONDS = 60.0


def parameter(name: str, *, client: Any) -> str:
    """Value of a parameter; NotFound when there is none."""
    with translated(f"read parameter {name}"):
        value: str = client.get_parameter(Name=name)["Parameter"]["Value"]
    return value


def remembered(name: str, *, client: Any, monotonic: Callable[[], float] = time.monotonic) -> Callable[[], str]:
    """A reader of a parameter with one request a minute at most, because SSM limits an account to some tens a second."""
    known: list[tuple[float, str]] = []

    def read() -> str:
        if not known or monotonic() - known[0][0] >= REMEMBERED_SECONDS:
            known[:] = [(monotonic(), parameter(name, client=client))]
        return known[0][1]

    return read
