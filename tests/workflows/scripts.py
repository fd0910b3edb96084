"""The input of each machine, and a script in which every step succeeds.

Events and results are validated with the library's records: a machine that passes a step an undeclared field, or leaves out a
required one, fails here as it would deployed.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from driftless import records
from driftless.records import Record
from tests.workflows.machine import Function, Script
from tests.workflows.results import results

LANDED = {"detail": {"bucket": {"name": "landing"}, "object": {"key": "flights/flights/a.csv", "version-id": "v1"}}}
TRAIN = {"project": "flights", "reason": "manual", "requested_by": "a person"}
MONITOR = {"project": "flights", "window_end": "2013-06-01T00:00:00Z"}
INPUTS: dict[str, dict[str, Any]] = {"ingest": LANDED, "train_and_deploy": TRAIN, "monitor": MONITOR}

CONTRACTS: dict[str, tuple[type[Record], type[Record]]] = {
    "Validation": (records.ValidationRequest, records.ValidationRecord),
    "Ingestion": (records.IngestionRequest, records.IngestionRecord),
    "Transform": (records.TransformRequest, records.DatasetRecord),
    "Tuning": (records.TuningRequest, records.TunedRecord),
    "Training": (records.TrainingRequest, records.ModelRecord),
    "Scoring": (records.ScoringRequest, records.ScoresRecord),
    "Evaluation": (records.EvaluationRequest, records.EvaluationRecord),
    "Registration": (records.RegistrationRequest, records.VersionRecord),
    "Deployment": (records.DeploymentRequest, records.DeploymentRecord),
    "Monitoring": (records.MonitoringRequest, records.MonitoringRecord),
    "Governor": (records.RetrainRequest, records.RetrainDecision),
}
"""Each step's request and result."""


def happy(candidates: int = 1) -> Script:
    """Every step succeeds at once."""
    return Script({name: held_to_contract(name, function) for name, function in results(candidates).items()})


def returning(script: Script, name: str, **changes: Any) -> None:
    """Change these fields of the record that a step returns."""
    before = script.results[name]
    script.results[name] = held_to_contract(name, lambda event: {**before(event), **changes})


def held_to_contract(name: str, function: Function) -> Function:
    """The function with its event and its result validated by the step's records."""
    request, record = CONTRACTS[name]

    def checked(event: dict[str, Any]) -> dict[str, Any]:
        try:
            request.model_validate(event)
        except ValidationError as error:
            raise AssertionError(f"the event of {name} is no {request.__name__}: {error}") from error
        return record.model_validate(function(event)).model_dump(mode="json")

    return checked
