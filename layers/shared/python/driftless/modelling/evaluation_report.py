"""The evaluation report: all figures behind a gate decision. Evaluation writes it, and registration makes the model card from it.

Reports outlive the code that wrote them: keys that another release added are kept, and a missing key is an error. A metric that
is undefined is left out, except in slices, where it is null.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import ConfigDict, Field, FiniteFloat, SerializerFunctionWrapHandler, model_serializer

from driftless.modelling.parsing import parse
from driftless.records import GateDecision, GateResult, Record, Run

Side = Literal["challenger", "champion", "naive"]


class _Part(Record):
    model_config = ConfigDict(extra="allow", serialize_by_alias=True, validate_by_alias=True)


class _Sides(_Part):
    """The primary metric of each side; a side that is not set is left out of the JSON."""

    challenger: FiniteFloat | None = None
    champion: FiniteFloat | None = None
    naive: FiniteFloat | None = None

    @model_serializer(mode="wrap")
    def _without_unset(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if name in self.model_fields_set}


class Holdout(_Part):
    """The hold-out: its rows, and the first and last event time as ISO 8601 text without offset, in UTC."""

    rows: int
    first: str
    last: str


class Day(_Sides):
    """The primary metric on the events of one UTC day (``YYYY-MM-DD``)."""

    day: str
    rows: int


class Slice(_Sides):
    """The primary metric on one slice, named ``column = value``."""

    slice: str
    rows: int
    metric: str


class CalibrationBin(_Part):
    """Rows whose P(true) lies in one interval: how many, their mean prediction and their observed rate."""

    low: FiniteFloat = Field(alias="from")
    high: FiniteFloat = Field(alias="to")
    rows: FiniteFloat
    predicted: FiniteFloat
    observed: FiniteFloat


class ProtectedGroups(_Part):
    """Rows, metrics and rates of each group of a protected attribute, and the gap of each rate between groups."""

    groups: dict[str, dict[str, FiniteFloat]]
    gaps: dict[str, FiniteFloat]


class EvaluationReport(_Part):
    """The figures of one run.

    ``intervals`` are low and high of each defined metric of the challenger, at level ``confidence``. ``calibration`` is None for
    models that are not binary. ``protected`` maps an attribute to its groups.
    """

    run: Run
    decision: GateDecision
    reasons: list[str]
    gates: list[GateResult]
    primary: str
    metrics: dict[Side, dict[str, FiniteFloat]]
    confidence: FiniteFloat
    intervals: dict[str, tuple[FiniteFloat, FiniteFloat]]
    champion_version: int | None
    holdout: Holdout
    days: list[Day]
    calibration: dict[Side, list[CalibrationBin]] | None
    slices: list[Slice]
    protected: dict[str, ProtectedGroups]


def encode_report(report: EvaluationReport) -> bytes:
    """The JSON that is stored; its digest is part of its key, so equal reports have equal bytes."""
    return json.dumps(report.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False).encode()


def parse_report(key: str, content: bytes) -> EvaluationReport:
    """The report in ``content``; IntegrityError, naming ``key`` and the first wrong field, when it is none."""
    return parse(EvaluationReport, "evaluation report", key, content)
