"""What stages hand to each other: small frozen records, references instead of data.

Every record is valid JSON under 256 KB, the limit of a Step Functions payload. A stage knows its request and its record,
never its neighbours: the state machines put records side by side under fixed keys (``run``, ``dataset``, ``tuned``,
``model``, ``scores``, ``evaluation``, ``version``, ``deployment``) and each request picks the ones it declares.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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


# -- ingest ---------------------------------------------------------------------------------------------------------


class ValidationRequest(Record):
    """A new object in the landing bucket (``<project>/<dataset>/<file>``)."""

    bucket: str
    key: str
    version_id: str | None = None


class SourceObject(Record):
    """Where rows came from: object, S3 version and content digest."""

    bucket: str
    key: str
    version_id: str | None
    sha256: str
    size: int


class RuleResult(Record):
    """Outcome of one rule over one file: how many rows broke it, at which level, and up to five examples."""

    rule: str
    level: Literal["warn", "quarantine", "fail"]
    failed_rows: int
    examples: list[str] = Field(default_factory=list)


class ValidationRecord(Record):
    """Verdict over one file. ``staged`` and ``quarantine`` are Parquet objects in the lake bucket."""

    status: Literal["accepted", "rejected"]
    project: str
    dataset: str
    source: SourceObject
    rows: int
    accepted_rows: int
    quarantined_rows: int
    staged: Ref | None
    quarantine: Ref | None
    report: Ref
    reasons: list[str]
    rules: list[RuleResult]


class IngestionRequest(Record):
    """An accepted file to commit; ``execution_arn`` is the ingest execution that asks."""

    validation: ValidationRecord
    execution_arn: str = ""


class IngestionRecord(Record):
    """The Delta version that now holds the file; ``duplicate`` when an earlier delivery had already committed it."""

    project: str
    dataset: str
    table: str
    version: int
    rows: int
    duplicate: bool


# -- train_and_deploy -----------------------------------------------------------------------------------------------


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
    """A candidate without a score: scikit-learn refused it, or its function died of it."""

    candidate: Candidate
    failure: str


class TrainingRequest(Record):
    """Fit the best candidate on the whole training part and export it."""

    run: Run
    dataset: DatasetRecord
    tuned: list[TunedRecord | FailedCandidate]


class ModelRecord(Record):
    """A fitted, not yet registered model under ``runs/<project>/<run_id>/model/``.

    ``parity_rows`` and ``parity_expected`` are Parquet: the rows that challenge the export, and scikit-learn's outputs.
    ``dependencies`` are the packages it was fitted with (name → version). ``failed_candidates`` had no score to compare it with.
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
    """Judge the challenger by its scored predictions."""

    run: Run
    dataset: DatasetRecord
    model: ModelRecord
    scores: ScoresRecord


class GateResult(Record):
    """One gate: what was asked, what was seen, and in words why it passed or not."""

    gate: str
    passed: bool
    observed: float | None
    required: str
    reason: str


class EvaluationRecord(Record):
    """The gate's verdict with its reasons.

    ``metrics`` are the challenger's on the hold-out. ``expected`` is what monitoring holds later windows to: the primary metric's
    median over every period the model was judged on without having seen it, the tuning folds and the hold-out, so that one
    unusual fortnight neither hides harm nor invents it.
    """

    decision: Decision
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
    decision: Decision


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


# -- serve and monitor ----------------------------------------------------------------------------------------------


class Endpoint(Record):
    """Who answers requests of a project. The registry holds it; S3 ``serving/<project>/endpoint.json`` is its copy.

    ``manifests`` maps a version (as text) to the sha256 of its manifest. ``challenger_weight`` is the share of request
    keys, 0 to 1, that the challenger answers. ``revision`` grows by one with each move.
    """

    project: str
    revision: int = 0
    champion: int | None = None
    challenger: int | None = None
    challenger_weight: float = 0.0
    previous_champion: int | None = None
    manifests: dict[str, str] = Field(default_factory=dict)
    updated_at: datetime


class Prediction(Record):
    """One prediction, as the journal line and as a Parquet row (inputs flattened to ``input_<feature>``).

    ``output`` holds ``prediction`` and, for classifiers, ``probabilities`` by class label. ``latency_us`` is the time
    of the whole request in microseconds, divided evenly over its records.
    """

    kind: Literal["prediction"] = "prediction"
    id: str
    request_id: str
    project: str
    time: datetime
    event_time: datetime | None
    version: int
    variant: Literal["champion", "challenger"]
    inputs: dict[str, Scalar]
    output: dict[str, Any]
    latency_us: int


class Label(Record):
    """The truth for one prediction, whenever it arrives; the latest ``observed_at`` of an id counts."""

    kind: Literal["label"] = "label"
    id: str
    project: str
    label: Scalar
    observed_at: datetime
    received_at: datetime


class MonitoringRequest(Record):
    """Judge the window that ends at ``window_end`` (event time, UTC; default: the latest prediction's, now at the latest)."""

    project: str
    window_end: datetime | None = None
    execution_arn: str = ""


class Signal(Record):
    """One judged signal: level 0 ok, 1 warn, 2 alert, with the statistic, the threshold and the reason in words."""

    name: str
    level: Literal[0, 1, 2]
    statistic: str
    value: float | None
    threshold: float | None
    reason: str


class MonitoringRecord(Record):
    """What monitoring found in one window, levels after persistence.

    ``still_raised`` names the levels that are alerts here and were in the report made before: an alarm tells of changes only.
    """

    project: str
    version: int | None
    window_start: datetime | None
    window_end: datetime | None
    predictions: int
    labels: int
    drift_level: Literal[0, 1, 2]
    harm_level: Literal[0, 1, 2]
    metrics: dict[str, float]
    reference_metrics: dict[str, float]
    signals: list[Signal]
    report: Ref | None
    still_raised: list[Literal["harm", "drift"]] = Field(default_factory=list)


class RetrainRequest(Record):
    """Somebody asks for a retraining; the governor decides."""

    project: str
    reason: Literal["schedule", "drift", "harm"]
    event_id: str


class RetrainDecision(Record):
    """The governor's answer and its reasons; ``run_id`` names the execution it started."""

    project: str
    reason: str
    retrain: bool
    reasons: list[str]
    run_id: str | None
    decided_at: datetime


# -- registry -------------------------------------------------------------------------------------------------------


class ModelVersion(Record):
    """A registered version as the registry remembers it (field names follow MLflow's)."""

    project: str
    version: int
    run_id: str
    created_at: datetime
    source: str
    manifest_sha256: str
    signing_key: str
    decision: Decision
    metrics: dict[str, float]
    tags: dict[str, str] = Field(default_factory=dict)


class AuditEvent(Record):
    """One link of a project's append-only chain: ``hash`` = sha256 of the canonical JSON of all other fields."""

    project: str
    sequence: int
    time: datetime
    actor: str
    action: str
    detail: dict[str, Any]
    previous_hash: str
    hash: str
