"""The records that every step returns when it succeeds, by the placeholder that names it in the state machine files.

Only the standard library is imported here: the text of this module is also the code of a function on the embedded cloud.
``tests.workflows.scripts`` checks them against the library's records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

_DAY = "2026-01-01T00:00:00Z"


def _ref(key: str) -> Json:
    return {"key": key, "sha256": "0" * 64, "size": 1}


def _validation(event: Json) -> Json:
    key = event.get("key", "flights/flights/a.csv")
    source = {"bucket": event.get("bucket", "landing"), "key": key, "version_id": event.get("version_id"), "sha256": "0" * 64}
    return {
        "status": "accepted",
        "project": key.split("/")[0],
        "dataset": "flights",
        "source": {**source, "size": 1},
        "rows": 1,
        "accepted_rows": 1,
        "quarantined_rows": 0,
        "staged": _ref("staged/1.parquet"),
        "quarantine": None,
        "report": _ref("reports/1.json"),
        "reasons": [],
        "rules": [],
    }


def _ingestion(event: Json) -> Json:
    verdict = event["validation"]
    table = f"tables/{verdict['project']}/{verdict['dataset']}"
    return {
        "project": verdict["project"],
        "dataset": verdict["dataset"],
        "table": table,
        "version": 1,
        "rows": 1,
        "duplicate": False,
    }


def _dataset(candidates: int) -> Json:
    return {
        "tables": [],
        "train": _ref("dataset/train.parquet"),
        "holdout": _ref("dataset/holdout.parquet"),
        "features_digest": "0" * 64,
        "train_rows": 1,
        "holdout_rows": 1,
        "train_start": _DAY,
        "train_end": _DAY,
        "holdout_end": _DAY,
        "candidates": [{"index": index, "parameters": {}} for index in range(candidates)],
        "git_commit": "abc123",
    }


def _training(event: Json) -> Json:
    files = ("onnx", "joblib", "baseline", "interface", "parity_rows", "parity_expected")
    fitted = {"parameters": {}, "tuning_metric": "log_loss", "tuning_score": 0.5, "fit_seconds": 1.0}
    return {**{name: _ref(f"model/{name}") for name in files}, **fitted}


def _scoring(event: Json) -> Json:
    scores = {"challenger": _ref("scores/challenger"), "champion": None, "champion_version": None}
    return {**scores, "parity_observed": _ref("scores/parity"), "rows": 1}


def _evaluation(event: Json) -> Json:
    verdict = {"decision": "promote", "reasons": [], "gates": [], "metrics": {"log_loss": 0.5}}
    return {**verdict, "champion_metrics": None, "champion_version": None, "report": _ref("evaluation/1.json")}


def _registration(event: Json) -> Json:
    project = event["run"]["project"]
    sealed = {"manifest_sha256": "0" * 64, "signing_key": "0" * 64, "decision": event["evaluation"]["decision"]}
    return {"project": project, "version": 7, "prefix": f"models/{project}/7", **sealed}


def _deployment(event: Json) -> Json:
    """Bakes once, then promotes; rolls back when the request says ``abandon``."""
    champions: Json = {"champion": 6, "previous_champion": None, "bake_seconds": 0}
    if event.get("abandon"):
        return {"status": "rolled_back", "step": 0, "weight": 0.0, "reasons": ["abandoned"], **champions}
    if event.get("deployment") is None:
        return {"status": "baking", "step": 1, "weight": 0.1, "reasons": [], **champions}
    return {"status": "promoted", "step": 2, "weight": 1.0, "reasons": [], **champions, "champion": 7, "previous_champion": 6}


def _monitoring(event: Json) -> Json:
    window = {"version": 7, "window_start": _DAY, "window_end": _DAY, "predictions": 1, "labels": 1}
    found: Json = {"metrics": {}, "reference_metrics": {}, "signals": [], "report": None}
    return {"project": event["project"], **window, "drift_level": 0, "harm_level": 2, **found, "still_raised": ["harm"]}


def _governor(event: Json) -> Json:
    request = {"project": event["project"], "reason": event["reason"]}
    return {**request, "retrain": False, "reasons": [], "run_id": None, "decided_at": _DAY}


def results(candidates: int = 1) -> dict[str, Callable[[Json], Json]]:
    """One function per step, from its event to its record; a run tunes ``candidates``."""
    score: Json = {"metric": "log_loss", "score": 0.5, "fold_scores": [0.5], "seconds": 0.1}
    return {
        "Validation": _validation,
        "Ingestion": _ingestion,
        "Transform": lambda event: _dataset(candidates),
        "Tuning": lambda event: {"candidate": event["candidate"], **score},
        "Training": _training,
        "Scoring": _scoring,
        "Evaluation": _evaluation,
        "Registration": _registration,
        "Deployment": _deployment,
        "Monitoring": _monitoring,
        "Governor": _governor,
    }
