"""From data versions to a version that serves, in the order of the train-and-deploy machine."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from driftless.records.common import GateDecision, Record, Ref, Run


class TransformRequest(Record):
    """Snapshot the project's tables and compute its training set."""

    run: Run


class TableVersion(Record):
    """A Delta table at one version: the data version."""

    dataset: str
    table: str
    version: int
    rows: int


class Candidate(Record):
    """One point of the search space."""

    index: int
    parameters: dict[str, Any]


class DatasetRecord(Record):
    """A frozen training set: Parquet in the artifacts bucket, columns ``keys…, event_time, features…, target``.

    Times are UTC; ``train_end`` equals ``holdout_start``; intervals are half open.
    """

    tables: list[TableVersion]
    train: Ref
    holdout: Ref
    features_digest: str
    train_rows: int
    holdout_rows: int
    train_start: datetime
    train_end: datetime
    holdout_end: datetime
    candidates: list[Candidate]
    git_commit: str


class TuningRequest(Record):
    """Cross-validate one candidate, forward in time."""

    run: Run
    dataset: DatasetRecord
    candidate: Candidate


class TunedRecord(Record):
    """Score of one candidate: ``score`` is the mean over folds of ``metric`` (its own sign, not negated)."""

    candidate: Candidate
    metric: str
    score: float
    fold_scores: list[float]
    seconds: float


class FailedCandidate(Record):
    """A candidate without a score: scikit-learn refused it, or its function failed."""

    candidate: Candidate
    failure: str


class TrainingRequest(Record):
    """Fit the best candidate on the whole training part and export it."""

    run: Run
    dataset: DatasetRecord
    tuned: list[TunedRecord | FailedCandidate]


class ModelRecord(Record):
    """A fitted, not yet registered model under ``runs/<project>/<run_id>/model/``.

    ``parity_rows`` and ``parity_expected`` are Parquet: rows that test the export, and scikit-learn's outputs.
    ``dependencies`` are the packages it was fitted with (name → version). ``failed_candidates`` had no score.
    """

    onnx: Ref
    joblib: Ref
    baseline: Ref
    interface: Ref
    parity_rows: Ref
    parity_expected: Ref
    parameters: dict[str, Any]
    tuning_metric: str
    tuning_score: float
    tuning_folds: list[float] = Field(default_factory=list)
    failed_candidates: list[FailedCandidate] = Field(default_factory=list)
    fit_seconds: float
    dependencies: dict[str, str] = Field(default_factory=dict)


class ScoringRequest(Record):
    """Run serving's own code over the frozen hold-out, for challenger and champion."""

    run: Run
    dataset: DatasetRecord
    model: ModelRecord


class ScoresRecord(Record):
    """Predictions as Parquet (row order of the hold-out): ``row, prediction, p_<class>…`` or ``row, prediction``.

    A champion that cannot be scored on this hold-out has a version but no scores. ``champion_train_end`` is where its own
    training data ended.
    """

    challenger: Ref
    champion: Ref | None
    champion_version: int | None
    champion_train_end: datetime | None = None
    parity_observed: Ref
    rows: int


class EvaluationRequest(Record):
    """Evaluate the challenger by its scored predictions."""

    run: Run
    dataset: DatasetRecord
    model: ModelRecord
    scores: ScoresRecord


class GateResult(Record):
    """One gate: the requirement, the observed value, and why it passed or not."""

    gate: str
    passed: bool
    observed: float | None
    required: str
    reason: str


class EvaluationRecord(Record):
    """The gate decision with its reasons.

    ``metrics`` are the challenger's on the hold-out. ``expected`` is what monitoring compares later windows with: the primary
    metric's median over every unseen period (the tuning folds and the hold-out), so that one unusual period neither hides harm
    nor causes a false alarm.
    """

    decision: GateDecision
    reasons: list[str]
    gates: list[GateResult]
    metrics: dict[str, float]
    expected: dict[str, float] = Field(default_factory=dict)
    champion_metrics: dict[str, float] | None
    champion_version: int | None
    report: Ref


class RegistrationRequest(Record):
    """Freeze, sign and register a model version, promoted or not."""

    run: Run
    dataset: DatasetRecord
    model: ModelRecord
    scores: ScoresRecord
    evaluation: EvaluationRecord


class VersionRecord(Record):
    """An immutable, signed model version under ``models/<project>/<version>/``."""

    project: str
    version: int
    prefix: str
    manifest_sha256: str
    signing_key: str
    decision: GateDecision


class DeploymentRecord(Record):
    """One step of a rollout."""

    status: Literal["baking", "promoted", "rolled_back"]
    step: int
    weight: float
    bake_seconds: int
    champion: int | None
    previous_champion: int | None
    reasons: list[str]


class DeploymentRequest(Record):
    """Take the next step of a rollout; ``deployment`` is the previous step's record, None at first.

    ``abandon`` rolls the rollout back instead (the state machine's failure path).
    """

    run: Run
    version: VersionRecord
    deployment: DeploymentRecord | None = None
    abandon: bool = False
