"""What starts each machine, and a script in which every stage answers.

Events and answers are held to the library's own records: a machine that hands a stage what it does not declare, or leaves out
what it needs, fails here as it would deployed.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from driftless import records
from driftless.records import Record
from tests.workflows.answers import answers
from tests.workflows.machine import Answer, Script

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
"""What each stage is asked with, and what it answers."""


def happy(candidates: int = 1) -> Script:
    """Every stage succeeds at once."""
    return Script({name: held_to_contract(name, answer) for name, answer in answers(candidates).items()})


def answering(script: Script, name: str, **changes: Any) -> None:
    """Let a stage answer as it did, but for these fields of its record."""
    before = script.answers[name]
    script.answers[name] = held_to_contract(name, lambda event: {**before(event), **changes})


def held_to_contract(name: str, answer: Answer) -> Answer:
    """The answer as the library would parse and write it, to an event that its stage would take."""
    asked, answered = CONTRACTS[name]

    def checked(event: dict[str, Any]) -> dict[str, Any]:
        try:
            asked.model_validate(event)
        except ValidationError as error:
            raise AssertionError(f"{name} was asked what {asked.__name__} is not: {error}") from error
        return answered.model_validate(answer(event)).model_dump(mode="json")

    return checked
