"""A small made-up world for the model stages: projects of every task, rows, frozen datasets, and a whole run of stages."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftless.core.parquet import read_columns, write_columns
from driftless.definition.project import Project
from driftless.modelling.interface import parse_interface
from driftless.modelling.onnx import OnnxModel
from driftless.records import Candidate, DatasetRecord, ModelRecord, Run, TrainingRequest, TunedRecord
from driftless.testing.memory import MemoryStore
from driftless.training.fit import Train

START = datetime(2024, 1, 1, tzinfo=UTC)
CLASSES = {"binary": None, "multiclass": ["high", "low", "middle"], "regression": None}
PRIMARY = {"binary": "log_loss", "multiclass": "log_loss", "regression": "mae"}
DEFAULT = {
    "binary": "sklearn.ensemble.HistGradientBoostingClassifier",
    "multiclass": "sklearn.ensemble.HistGradientBoostingClassifier",
    "regression": "sklearn.ensemble.HistGradientBoostingRegressor",
}
CALM = {"max_iter": 30, "min_samples_leaf": 50}
"""Boosting that does not learn a thousand rows by heart, so that two samples of one world give like models."""
Columns = dict[str, NDArray[Any]]


def project(task: str = "binary", estimator: str | None = None, **sections: Any) -> Project:
    """A project over made-up events; sections are replaced whole."""
    raw: dict[str, Any] = {
        "name": "demo",
        "title": "Demo",
        "task": task,
        "datasets": {"events": {"event_time": "at", "key": ["at"], "columns": {"at": {"type": "timestamp"}}}},
        "features": {
            "base": "events",
            "columns": {
                "speed": {"type": "number", "nullable": True},
                "count": {"type": "integer", "range": [0, 100]},
                "wet": {"type": "boolean"},
                "colour": {"type": "category", "nullable": True},
            },
        },
        "target": {"name": "late", "expression": "late", "classes": CLASSES[task]},
        "split": {"holdout_days": 10, "minimum_holdout_rows": 50},
        "model": {"estimator": estimator or DEFAULT[task], "folds": 2, **({} if estimator else {"parameters": CALM})},
        "gates": {"primary": PRIMARY[task], "resamples": 200},
    }
    return Project.model_validate({**raw, **sections})


def rows(
    task: str = "binary", count: int = 1200, *, days: int = 40, start: int = 0, seed: int = 0, noise: float = 0.5
) -> Columns:
    """Events spread evenly over ``days`` from day ``start``; the target hangs on speed, its absence, rain and colour."""
    generator = np.random.default_rng(seed)
    speed = generator.normal(50, 20, count)
    speed[generator.random(count) < 0.1] = np.nan
    colour = generator.choice(np.array(["red", "green", "blue", None], dtype=object), count, p=[0.4, 0.3, 0.2, 0.1])
    wet = generator.random(count) < 0.3
    hidden = np.where(np.isnan(speed), 1.0, (speed - 50) / 20) + wet + (colour == "red") + generator.normal(0, noise, count) - 0.7
    target: NDArray[Any] = hidden > 0
    if task == "multiclass":
        target = np.where(hidden < -0.5, "low", np.where(hidden < 0.7, "middle", "high")).astype(object)
    elif task == "regression":
        target = hidden * 10 + 100
    first = np.datetime64(START.replace(tzinfo=None), "us") + np.timedelta64(start, "D")
    step = np.timedelta64(days * 86_400_000_000 // count, "us")
    return {
        "at": first + np.arange(count) * step,
        "speed": speed,
        "count": generator.integers(0, 100, count).astype(np.float64),
        "wet": wet,
        "colour": colour,
        "late": target,
    }


def features(columns: Columns) -> Columns:
    return {name: columns[name] for name in ("speed", "count", "wet", "colour")}


def freeze(store: MemoryStore, train: Columns, holdout: Columns, run_id: str = "r1") -> DatasetRecord:
    """Both parts as a dataset record, their files in the store."""
    with tempfile.TemporaryDirectory() as scratch:
        refs = {}
        for part, columns in (("train", train), ("holdout", holdout)):
            path = write_columns(Path(scratch) / f"{part}.parquet", columns)
            refs[part] = store.upload(path, f"runs/demo/{run_id}/dataset/{part}.parquet")
    first, boundary, last = train["at"].min(), holdout["at"].min(), holdout["at"].max()
    return DatasetRecord(
        tables=[],
        train=refs["train"],
        holdout=refs["holdout"],
        features_digest="digest",
        train_rows=len(train["at"]),
        holdout_rows=len(holdout["at"]),
        train_start=_utc(first),
        train_end=_utc(boundary),
        holdout_end=_utc(last) + timedelta(microseconds=1),
        candidates=[Candidate(index=0, parameters={})],
        git_commit="commit",
    )


def run(run_id: str = "r1") -> Run:
    return Run(run_id=run_id, execution_arn="arn", project="demo")


def tuned(
    parameters: dict[str, Any] | None = None, *, index: int = 0, score: float = 0.5, metric: str = "log_loss"
) -> TunedRecord:
    candidate = Candidate(index=index, parameters=parameters or {})
    return TunedRecord(candidate=candidate, metric=metric, score=score, fold_scores=[score], seconds=0.1)


def train(store: MemoryStore, definition: Project, dataset: DatasetRecord, run_id: str = "r1") -> ModelRecord:
    """One trained model with the project's own parameters."""
    request = TrainingRequest(run=run(run_id), dataset=dataset, tuned=[tuned(metric=definition.gates.primary)])
    return Train(artifacts=store, projects={"demo": definition})(request)


def load(store: MemoryStore, model: ModelRecord) -> OnnxModel:
    return OnnxModel(store.get(model.onnx.key), parse_interface(model.interface.key, store.get(model.interface.key)))


def columns(store: MemoryStore, key: str) -> Columns:
    """A stored Parquet file's columns."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "file"
        store.download(key, path)
        return read_columns(path)


def _utc(moment: np.datetime64) -> datetime:
    return datetime.fromisoformat(str(moment.astype("datetime64[us]"))).replace(tzinfo=UTC)
