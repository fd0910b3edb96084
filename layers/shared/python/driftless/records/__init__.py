"""What stages hand to each other: small frozen records, references instead of data.

Every record is valid JSON under 256 KB, the limit of a Step Functions payload. A stage knows its request and its record,
never its neighbours: the state machines put records side by side under fixed keys (``run``, ``dataset``, ``tuned``,
``model``, ``scores``, ``evaluation``, ``version``, ``deployment``) and each request picks the ones it declares.
"""

from __future__ import annotations

from driftless.records.common import Decision, Record, Ref, Run, Scalar
from driftless.records.ingest import (
    IngestionRecord,
    IngestionRequest,
    RuleResult,
    SourceObject,
    ValidationRecord,
    ValidationRequest,
)
from driftless.records.registry import AuditEvent, ModelVersion
from driftless.records.serving import (
    Endpoint,
    Label,
    MonitoringRecord,
    MonitoringRequest,
    Prediction,
    RetrainDecision,
    RetrainRequest,
    Signal,
)
from driftless.records.training import (
    Candidate,
    DatasetRecord,
    DeploymentRecord,
    DeploymentRequest,
    EvaluationRecord,
    EvaluationRequest,
    FailedCandidate,
    GateResult,
    ModelRecord,
    RegistrationRequest,
    ScoresRecord,
    ScoringRequest,
    TableVersion,
    TrainingRequest,
    TransformRequest,
    TunedRecord,
    TuningRequest,
    VersionRecord,
)

__all__ = [
    "AuditEvent",
    "Candidate",
    "DatasetRecord",
    "Decision",
    "DeploymentRecord",
    "DeploymentRequest",
    "Endpoint",
    "EvaluationRecord",
    "EvaluationRequest",
    "FailedCandidate",
    "GateResult",
    "IngestionRecord",
    "IngestionRequest",
    "Label",
    "ModelRecord",
    "ModelVersion",
    "MonitoringRecord",
    "MonitoringRequest",
    "Prediction",
    "Record",
    "Ref",
    "RegistrationRequest",
    "RetrainDecision",
    "RetrainRequest",
    "RuleResult",
    "Run",
    "Scalar",
    "ScoresRecord",
    "ScoringRequest",
    "Signal",
    "SourceObject",
    "TableVersion",
    "TrainingRequest",
    "TransformRequest",
    "TunedRecord",
    "TuningRequest",
    "ValidationRecord",
    "ValidationRequest",
    "VersionRecord",
]
