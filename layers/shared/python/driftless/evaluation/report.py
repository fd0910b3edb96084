"""The evaluation report: all figures behind the gate decision, for the model card and for people who check it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftless.definition.learning import Gates
from driftless.definition.project import Project
from driftless.evaluation.case import Case, Masks
from driftless.evaluation.groups import protected_report
from driftless.modelling.evaluation_report import CalibrationBin, Day, EvaluationReport, Holdout, Side, Slice
from driftless.modelling.intervals import metric_interval
from driftless.modelling.metrics import Scored, calibration_bins, measure, measure_all
from driftless.records import GateDecision, GateResult, Run

RESAMPLES = 200


def report(
    project: Project, case: Case, run: Run, gates: list[GateResult], decision: GateDecision, reasons: list[str]
) -> EvaluationReport:
    """The figures of one run; undefined numbers are left out."""
    policy = project.gates
    sides: dict[Side, Scored | None] = {"challenger": case.challenger, "champion": case.champion, "naive": case.naive}
    known = {name: side for name, side in sides.items() if side is not None}
    first, last = (str(moment) for moment in (case.times.min(), case.times.max()))
    return EvaluationReport(
        run=run,
        decision=decision,
        reasons=reasons,
        gates=gates,
        primary=policy.primary,
        metrics={name: measure_all(side) for name, side in known.items()},
        confidence=policy.confidence,
        intervals=_intervals(policy, case),
        champion_version=case.champion_version,
        holdout=Holdout(rows=len(case.challenger), first=first, last=last),
        days=_days(policy.primary, known, case.times),
        calibration={name: _calibration(side) for name, side in known.items()} if project.task == "binary" else None,
        slices=[part for column in policy.slices for part in _slices(policy.primary, known, column, case.groups[column])],
        protected={column: protected_report(case.challenger, case.groups[column]) for column in policy.protected},
    )


def _days(metric: str, sides: dict[Side, Scored], times: NDArray[np.datetime64]) -> list[Day]:
    days = times.astype("datetime64[D]")
    table = []
    for day in np.unique(days):
        mask = days == day
        values = {name: measure(metric, side.take(mask)) for name, side in sides.items()}
        known = {name: value for name, value in values.items() if np.isfinite(value)}
        table.append(Day(day=str(day), rows=int(mask.sum()), **known))
    return table


def _calibration(side: Scored) -> list[CalibrationBin]:
    return [CalibrationBin.model_validate(entry) for entry in calibration_bins(side)]


def _slices(metric: str, sides: dict[Side, Scored], column: str, masks: Masks) -> list[Slice]:
    return [
        Slice(
            slice=f"{column} = {value}",
            rows=int(mask.sum()),
            metric=metric,
            **{name: _number(measure(metric, side.take(mask))) for name, side in sides.items()},
        )
        for value, mask in masks.items()
    ]


def _intervals(policy: Gates, case: Case) -> dict[str, tuple[float, float]]:
    """Low and high of each defined metric of the challenger. No gate depends on them, so fewer resamples suffice."""
    found = {}
    for metric in measure_all(case.challenger):
        interval = metric_interval(metric, case.challenger, case.blocks, confidence=policy.confidence, resamples=RESAMPLES)
        if np.isfinite([interval.low, interval.high]).all():
            found[metric] = (interval.low, interval.high)
    return found


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
