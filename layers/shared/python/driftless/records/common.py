"""What all records share: their manners, references to objects, and the run they belong to."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Scalar = bool | int | float | str | None
Decision = Literal["promote", "refuse", "await_approval"]


class Record(BaseModel):
    """Frozen, strict about unknown keys, JSON round-trippable."""

    # A function uses a handful of these records; building the validators of all at import would be paid by every cold start.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null", defer_build=True)


class Ref(Record):
    """One immutable object in a bucket that the stage already knows: key, content digest and size in bytes."""

    key: str
    sha256: str
    size: int


class Run(Record):
    """One execution of train_and_deploy; ``run_id`` is the execution's name."""

    run_id: str
    execution_arn: str
    project: str
    reason: str = "manual"
