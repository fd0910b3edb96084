"""A run that reached registration: its files in a bucket, and the request that follows from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from driftless.definition.loading import load
from driftless.definition.project import Project
from driftless.modelling.evaluation_report import EvaluationReport, Holdout, Slice, encode_report
from driftless.records import (
    DatasetRecord,
    EvaluationRecord,
    GateDecision,
    GateResult,
    ModelRecord,
    RegistrationRequest,
    Run,
    ScoresRecord,
    TableVersion,
)
from driftless.testing.memory import MemoryStore

DAY = datetime(2013, 1, 1, tzinfo=UTC)
REPORT = EvaluationReport(
    run=Run(run_id="run-1", execution_arn="arn:run-1", project="flights"),
    decision="promote",
    reasons=[],
    gates=[],
    primary="log_loss",
    metrics={},
    confidence=0.95,
    intervals={"log_loss": (0.50, 0.53)},
    champion_version=None,
    holdout=Holdout(rows=903, first="2013-04-01T00:00:00", last="2013-04-14T00:00:00"),
    days=[],
    calibration=None,
    slices=[
        Slice(slice="origin = JFK", rows=900, metric="log_loss", challenger=0.51, champion=0.52, naive=0.6),
        Slice(slice="origin = a|b", rows=3, metric="log_loss", challenger=None, naive=None),
    ],
    protected={},
)


def flights() -> Project:
    return load(Path(__file__).parents[4] / "projects" / "flights")


class Clock:
    """A clock that moves one minute at each look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


def request(
    store: MemoryStore, run_id: str = "run-1", *, decision: GateDecision = "promote", **changes: Any
) -> RegistrationRequest:
    """Write the run's files into the store and describe them."""
    folder = f"runs/flights/{run_id}"

    def written(name: str, content: bytes) -> Any:
        return store.put(f"{folder}/{name}", content)

    files = {name: written(f"model/{name}", f"{run_id} {name}".encode()) for name in ("onnx", "joblib", "baseline", "interface")}
    files |= {name: written(f"model/{name}", name.encode()) for name in ("parity_rows", "parity_expected")}
    return RegistrationRequest(
        run=Run(run_id=run_id, execution_arn=f"arn:{run_id}", project="flights", reason="harm"),
        dataset=DatasetRecord(
            tables=[TableVersion(dataset="flights", table="tables/flights/flights", version=4, rows=1000)],
            train=written("dataset/train.parquet", b"train"),
            holdout=written("dataset/holdout.parquet", b"holdout"),
            features_digest="f" * 64,
            train_rows=800,
            holdout_rows=200,
            train_start=DAY,
            train_end=DAY + timedelta(days=90),
            holdout_end=DAY + timedelta(days=104),
            candidates=[],
            git_commit="abc123",
        ),
        model=ModelRecord(
            **files,
            parameters={"learning_rate": 0.05},
            tuning_metric="log_loss",
            tuning_score=0.5,
            fit_seconds=1.0,
            dependencies={"scikit-learn": "1.9.0", "numpy": "2.4.1"},
        ),
        scores=ScoresRecord(
            challenger=written("scores/challenger.parquet", b"c"),
            champion=None,
            champion_version=None,
            parity_observed=written("scores/parity.parquet", b"p"),
            rows=200,
        ),
        evaluation=EvaluationRecord(
            **{
                "decision": decision,
                "reasons": ["beats the naive predictor"],
                "gates": [GateResult(gate="auc", passed=True, observed=0.69, required=">= 0.6", reason="0.69 is enough")],
                "metrics": {"log_loss": 0.513, "auc": 0.69},
                "champion_metrics": None,
                "champion_version": None,
                "report": written("evaluation.json", encode_report(REPORT)),
                **changes,
            }
        ),
    )
