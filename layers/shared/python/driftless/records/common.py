"""What all records share: their base, references to objects, and the run they belong to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer

from driftless.core.iso_time import stamp

Scalar = bool | int | float | str | None
GateDecision = Literal["promote", "refuse", "await_approval"]

Stamp = Annotated[datetime, PlainSerializer(stamp, when_used="json")]
"""A time that the registry wrote: timezone-aware UTC; JSON keeps the text that it wrote."""


class Record(BaseModel):
    """Frozen, strict about unknown keys, JSON round-trippable."""

    # A function uses a handful of these records; building the validators of all at import would be paid by every cold start.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null", defer_build=True)


class Stored(Record):
    """A record that the registry keeps, and that other releases wrote: keys that this one does not know are ignored."""

    model_config = ConfigDict(extra="ignore")


class Ref(Record):
    """One immutable object in a bucket that the step already knows: key, content digest and size in bytes."""

    key: str
    sha256: str
    size: int


class Run(Record):
    """One execution of train_and_deploy; ``run_id`` is the execution's name."""

    run_id: str
    execution_arn: str
    project: str
    reason: str = "manual"
