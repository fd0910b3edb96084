"""The manifest of a model version, which registration signs.

Registration writes its bytes once, in canonical form. Digest and signature are over these bytes: a reader verifies them before it
parses them, and no code writes a manifest again from parsed values. A version outlives the code that registered it, so keys that
a later release added are kept, and a missing key is an error.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, FiniteFloat

from driftless.records import GateDecision, Record, Ref, TableVersion


class Manifest(Record):
    """One registered model version: its files by sha256, and what it was made from, by which run, with which result.

    ``files`` maps a name inside the folder to the sha256 (hexadecimal) of its content. ``compared_with`` is the champion that
    the gates judged against, None if there was none. ``metrics`` and ``expected`` are those of
    :class:`~driftless.records.EvaluationRecord`; times and intervals are those of :class:`~driftless.records.DatasetRecord`.
    ``signing_key`` is the sha256 of the public key under ``trust/``.
    """

    model_config = ConfigDict(extra="allow", serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    format: Literal[1] = Field(alias="schema", default=1)
    project: str
    version: int
    run_id: str
    execution_arn: str
    created_at: datetime
    decision: GateDecision
    compared_with: int | None
    files: dict[str, str]
    tables: list[TableVersion]
    train: Ref
    holdout: Ref
    train_rows: int
    holdout_rows: int
    train_start: datetime
    train_end: datetime
    holdout_end: datetime
    features_digest: str
    git_commit: str
    dependencies: dict[str, str]
    dependencies_sha256: str
    parameters: dict[str, Any]
    metrics: dict[str, FiniteFloat]
    expected: dict[str, FiniteFloat]
    evaluation: Ref
    signing_key: str
