"""The model card of a version as registration stores it in ``card.json``.

Cards outlive the code that wrote them: keys that another release added are kept, and a missing key is an error.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PlainSerializer

from driftless.modelling.evaluation_report import ProtectedGroups
from driftless.modelling.parsing import parse
from driftless.records import FailedCandidate, GateDecision, GateResult, Record, Ref, TableVersion

IsoTime = Annotated[datetime, PlainSerializer(datetime.isoformat, when_used="json")]
"""A time that JSON keeps as ``datetime.isoformat`` writes it: UTC ends in ``+00:00``."""


class _Part(Record):
    model_config = ConfigDict(extra="allow", serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)


class CardModel(_Part):
    """Which model it is, and how it was fitted."""

    name: str
    version: int
    title: str
    task: str
    owner: str
    estimator: str
    parameters: dict[str, Any]
    failed_candidates: list[FailedCandidate]
    created_at: IsoTime


class Purpose(_Part):
    """What the owner says the model is for."""

    description: str
    intended_use: str


class Window(_Part):
    """A half-open interval of event time, and its rows."""

    start: IsoTime
    end: IsoTime
    rows: int


class CardTarget(_Part):
    """The target column and its SQL expression."""

    name: str
    expression: str


class CardFeature(_Part):
    """A feature as the project declared it; see :class:`~driftless.definition.features.FeatureColumn`."""

    name: str
    type: str
    nullable: bool
    range: tuple[float | None, float | None] | None
    allowed: tuple[str, ...] | None
    pii: bool
    reviewed: str
    description: str


class CardData(_Part):
    """The data that the version was fitted and judged on."""

    tables: list[TableVersion]
    train: Window
    holdout: Window
    target: CardTarget
    features: list[CardFeature]


class CardInterval(_Part):
    """A confidence interval at level ``confidence``."""

    confidence: float
    low: float
    high: float


class CardMetric(_Part):
    """A metric of the version on the hold-out, and the champion's."""

    value: float | None
    interval: CardInterval | None
    champion: float | None


class CardSlice(_Part):
    """The primary metric of the version and of the champion on one slice; None where it is undefined."""

    slice: str
    rows: int
    metric: str
    value: float | None
    champion: float | None


class CardDecision(_Part):
    """The gate decision; ``compared_with`` is the champion's version."""

    decision: GateDecision
    reasons: list[str]
    compared_with: int | None


class Lineage(_Part):
    """The run, the code and the files that the version was made from."""

    run_id: str
    execution_arn: str
    reason: str
    git_commit: str
    features_digest: str
    train: Ref
    holdout: Ref
    evaluation: Ref


class ModelCard(_Part):
    """Purpose, data, metrics by slice and group, gates, decision and limits of one version."""

    format: Literal[1] = Field(alias="schema", default=1)
    model: CardModel
    purpose: Purpose
    license: str
    data: CardData
    metrics: dict[str, CardMetric]
    slices: list[CardSlice]
    protected: dict[str, ProtectedGroups]
    gates: list[GateResult]
    decision: CardDecision
    limits: list[str]
    lineage: Lineage


def parse_card(key: str, content: bytes) -> ModelCard:
    """The card in ``content``; IntegrityError, naming ``key`` and the first wrong field, when it is none."""
    return parse(ModelCard, "model card", key, content)
