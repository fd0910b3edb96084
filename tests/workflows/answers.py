"""What every stage answers when all goes well, by the placeholder that names it in the state machine files.

Nothing is imported here: the text of this module is also the code of a function on the embedded cloud.
"""


def _deployment(event):
    """Bakes once, then promotes; rolls back when told to abandon."""
    if event.get("abandon"):
        return {"status": "rolled_back", "step": 0, "bake_seconds": 0, "reasons": ["abandoned"]}
    if event.get("deployment") is None:
        return {"status": "baking", "step": 1, "bake_seconds": 0, "reasons": []}
    return {"status": "promoted", "step": 2, "bake_seconds": 0, "reasons": []}


def answers(candidates=1):
    """An answer for each call of each stage; a run has so many candidates to tune."""
    return {
        "Validation": lambda event: {
            "status": "accepted",
            "source": {"bucket": event.get("bucket"), "key": event.get("key"), "version_id": event.get("version_id")},
            "reasons": [],
            "report": {"key": "reports/1"},
        },
        "Ingestion": lambda event: {"table": "tables/flights/flights", "version": 1},
        "Transform": lambda event: {"candidates": [{"index": index} for index in range(candidates)]},
        "Tuning": lambda event: {"candidate": event["candidate"], "score": 0.5},
        "Training": lambda event: {"onnx": "model"},
        "Scoring": lambda event: {"challenger": "scores"},
        "Evaluation": lambda event: {"decision": "promote"},
        "Registration": lambda event: {"version": 7, "decision": event["evaluation"]["decision"]},
        "Deployment": _deployment,
        "Monitoring": lambda event: {"harm_level": 2, "still_raised": ["harm"]},
        "Governor": lambda event: {"retrain": False},
    }
