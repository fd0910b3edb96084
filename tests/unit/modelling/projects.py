"""Project definitions for tests of serving and monitoring, one for each task."""

from __future__ import annotations

from typing import Any

from driftless.definition.project import Project

FEATURES: dict[str, dict[str, Any]] = {
    "temp": {"type": "number", "nullable": True, "range": [-60, 140]},
    "seats": {"type": "integer", "range": [1, 850.5]},
    "origin": {"type": "category", "allowed": ["EWR", "JFK"]},
    "carrier": {"type": "category", "nullable": True},
    "night": {"type": "boolean"},
    "name": {"type": "category", "nullable": True, "pii": True, "allowed": ["Ada", "Ada Lovelace"]},
}
RECORD: dict[str, Any] = {"temp": 1.5, "seats": 180, "origin": "JFK", "carrier": "AA", "night": False, "name": "Ada"}


def definition(task: str = "binary", name: str = "demo", **sections: Any) -> Project:
    """A small valid project; sections are replaced whole."""
    metric = "rmse" if task == "regression" else "log_loss"
    raw: dict[str, Any] = {
        "name": name,
        "title": "A <demo> project",
        "task": task,
        "datasets": {
            "events": {"event_time": "at", "key": ["at"], "columns": {"at": {"type": "timestamp"}, "y": {"type": "number"}}}
        },
        "features": {"base": "events", "columns": FEATURES},
        "target": {"name": "outcome", "expression": "y", "classes": ["no", "yes"] if task == "multiclass" else None},
        "model": {"estimator": "sklearn.linear_model.LogisticRegression"},
        "gates": {"primary": metric},
        "serving": {"max_records": 5, "refresh_seconds": 2},
    }
    return Project.model_validate({**raw, **sections})
