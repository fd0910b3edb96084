"""Reading one SSM parameter, the place where a deployment publishes what its functions may ask for."""

from __future__ import annotations

from typing import Any

from driftless.adapters.aws import translated


def parameter(name: str, *, client: Any) -> str:
    """Value of a parameter; NotFound when there is none."""
    with translated(f"read parameter {name}"):
        value: str = client.get_parameter(Name=name)["Parameter"]["Value"]
    return value
