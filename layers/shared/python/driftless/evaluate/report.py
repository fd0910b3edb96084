"""``evaluation.json``: everything the verdict rests on, for the model card, the CLI and whoever doubts it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftless.evaluate.case import Case, Masks
from driftless.evaluate.groups import protected_report
from driftless.metrics import Scored, calibration_bins, measure, measure_all
from driftless.project import Project
from driftless.records import Decision, GateResult
from driftless.resampling import metric_interval


def report(project: Project, case: Case, gates: list[GateResult], decision: Decision, reasons: list[str]) -> dict[str, Any]:
    """The report as JSON-ready values; undefined numbers are left out."""
    policy = project.gates
    interval = metric_interval(
        policy.primary, case.challenger, case.blocks, confidence=policy.confidence, resamples=policy.resamples
    )
    sides = {"challenger": case.challenger, "champion": case.champion, "naive": case.naive}
    known = {name: side for name, side in sides.items() if side is not None}
    first, last = (str(moment) for moment in (case.times.min(), case.times.max()))
    return {
        "decision": decision,
        "reasons": reasons,
        "gates": [gate.model_dump(mode="json") for gate in gates],
        "primary": policy.primary,
        "metrics": {name: measure_all(side) for name, side in known.items()},
        "interval": {"confidence": policy.confidence, **_finite({"low": interval.low, "high": interval.high})},
        "champion_version": case.champion_version,
        "holdout": {"rows": len(case.challenger), "first": first, "last": last},
        "days": _days(policy.primary, known, case.times),
        "calibration": {name: calibration_bins(side) for name, side in known.items()} if project.task == "binary" else None,
        "slices": {column: _slices(known, case.groups[column]) for column in policy.slices},
        "protected": {column: protected_report(case.challenger, case.groups[column]) for column in policy.protected},
    }


def _days(metric: str, sides: dict[str, Scored], times: NDArray[np.datetime64]) -> list[dict[str, Any]]:
    days = times.astype("datetime64[D]")
    table: list[dict[str, Any]] = []
    for day in np.unique(days):
        mask = days == day
        values = _finite({name: measure(metric, side.take(mask)) for name, side in sides.items()})
        table.append({"day": str(day), "rows": int(mask.sum()), **values})
    return table


def _slices(sides: dict[str, Scored], masks: Masks) -> dict[str, Any]:
    return {
        value: {"rows": float(mask.sum()), **{name: measure_all(side.take(mask)) for name, side in sides.items()}}
        for value, mask in masks.items()
    }


def _finite(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if np.isfinite(value)}
