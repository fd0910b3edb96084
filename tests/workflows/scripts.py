"""What every stage answers when all goes well, and what starts each machine."""

from __future__ import annotations

from typing import Any

from tests.workflows.machine import Script

LANDED = {"detail": {"bucket": {"name": "landing"}, "object": {"key": "flights/flights/a.csv", "version-id": "v1"}}}
TRAIN = {"project": "flights", "reason": "manual", "requested_by": "a person"}
MONITOR = {"project": "flights", "window_end": "2013-06-01T00:00:00Z"}
INPUTS: dict[str, dict[str, Any]] = {"ingest": LANDED, "train_and_deploy": TRAIN, "monitor": MONITOR}


def _deployment(event: dict[str, Any]) -> dict[str, Any]:
    """Bakes once, then promotes; rolls back when told to abandon."""
    if event.get("abandon"):
        return {"status": "rolled_back", "step": 0, "bake_seconds": 0, "reasons": ["abandoned"]}
    if event.get("deployment") is None:
        return {"status": "baking", "step": 1, "bake_seconds": 5, "reasons": []}
    return {"status": "promoted", "step": 2, "bake_seconds": 0, "reasons": []}


def happy(candidates: int = 1) -> Script:
    """Every stage succeeds at once."""
    source = {"bucket": "landing", "key": "flights/flights/a.csv", "version_id": "v1"}
    return Script(
        {
            "Validation": lambda event: {"status": "accepted", "source": source, "reasons": [], "report": {"key": "reports/1"}},
            "Ingestion": lambda event: {"table": "tables/flights/flights", "version": 1},
            "Transform": lambda event: {"candidates": [{"index": index} for index in range(candidates)]},
            "Tuning": lambda event: {"candidate": event["candidate"], "score": 0.5},
            "Training": lambda event: {"onnx": "model"},
            "Scoring": lambda event: {"challenger": "scores"},
            "Evaluation": lambda event: {"decision": "promote"},
            "Registration": lambda event: {"version": 7},
            "Deployment": _deployment,
            "Monitoring": lambda event: {"harm_level": 0},
        }
    )
