"""The evaluate step: decide whether the challenger may become champion.

It reads only what earlier steps froze: the target of the hold-out, the predictions of challenger and champion, and the parity
outputs. All gates are judged, even after one has failed, so a refusal names every reason. The gate decision and its figures are
written to a report in the run's folder. The key contains the report's digest: a run that is repeated may get another decision,
and the report that a signed manifest names must not change. The metrics are recorded in the registry.
"""

from __future__ import annotations

import hashlib
import math
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from driftless.core.layout.artifacts import run_evaluation
from driftless.core.parquet import Columns, read_columns
from driftless.definition.loading import named
from driftless.definition.project import Project
from driftless.evaluation.case import Case
from driftless.evaluation.gates import judge
from driftless.evaluation.groups import cut
from driftless.evaluation.naive import naive
from driftless.evaluation.parity import parity_gate
from driftless.evaluation.report import report
from driftless.modelling.evaluation_report import encode_report
from driftless.modelling.interface import parse_interface
from driftless.modelling.intervals import day_blocks
from driftless.modelling.metrics import Scored, measure_all
from driftless.modelling.prediction_columns import scored
from driftless.modelling.references import read
from driftless.ports import FileFetcher, ObjectReader, ObjectWriter, RunLog
from driftless.records import EvaluationRecord, EvaluationRequest, GateDecision, GateResult, ModelRecord, Ref, RunFacts


class EvaluationFiles(ObjectReader, FileFetcher, ObjectWriter, Protocol):
    """What evaluation needs of the artifacts bucket."""


class Evaluate:
    """Judge one run's challenger.

    Parameters
    ----------
    artifacts : EvaluationFiles
        The artifacts bucket.
    registry : RunLog
        Keeps the run's metrics.
    projects : mapping of str to Project
    """

    def __init__(self, *, artifacts: EvaluationFiles, registry: RunLog, projects: Mapping[str, Project]) -> None:
        self._artifacts = artifacts
        self._registry = registry
        self._projects = projects

    def __call__(self, request: EvaluationRequest) -> EvaluationRecord:
        """Judge, report and record.

        Raises
        ------
        IntegrityError
            When an input is not the one recorded.
        """
        project, model, scores = named(self._projects, request.run.project), request.model, request.scores
        interface = parse_interface(model.interface.key, read(self._artifacts, model.interface))
        classes = interface.classes or ()
        case = self._case(project, request, classes, interface.event_time)
        rows, expected, observed = map(self._read, (model.parity_rows, model.parity_expected, scores.parity_observed))
        gates = [parity_gate(classes, rows, expected, observed), *judge(project, case)]
        decision, reasons = decide(project, gates, case)
        content = encode_report(report(project, case, request.run, gates, decision, reasons))
        key = run_evaluation(request.run.project, request.run.run_id, hashlib.sha256(content).hexdigest())
        ref = self._artifacts.put(key, content, if_absent=True)
        metrics = measure_all(case.challenger)
        facts = RunFacts(metrics=metrics, decision=decision, reasons=reasons, parameters=model.parameters, evaluation=ref.key)
        self._registry.record_run(request.run, facts)
        return EvaluationRecord(
            decision=decision,
            reasons=reasons,
            gates=gates,
            metrics=metrics,
            expected=expected_metrics(project.gates.primary, model, metrics),
            champion_metrics=measure_all(case.champion) if case.champion is not None else None,
            champion_version=scores.champion_version,
            report=ref,
        )

    def _case(self, project: Project, request: EvaluationRequest, classes: tuple[str, ...], event_time: str) -> Case:
        scores = request.scores
        cuts = list(dict.fromkeys([*project.gates.slices, *project.gates.protected]))
        holdout = self._read(request.dataset.holdout, [event_time, project.target.name, *cuts])
        train_target = self._read(request.dataset.train, [project.target.name])[project.target.name]
        truth, times = holdout[project.target.name], holdout[event_time]
        challenger = scored(project.task, classes, truth, self._read(scores.challenger))
        # Good calibration alone is no skill: the naive predictor is well calibrated too.
        metric = "log_loss" if project.gates.primary == "calibration_error" else project.gates.primary
        return Case(
            challenger=challenger,
            naive=naive(challenger, train_target, classes, metric),
            champion=self._champion(project, classes, truth, scores.champion),
            champion_version=scores.champion_version,
            champion_train_end=scores.champion_train_end,
            naive_metric=metric,
            times=times,
            blocks=day_blocks(times) if project.gates.block == "day" else np.arange(len(times), dtype=np.int64),
            groups={column: cut(holdout[column]) for column in cuts},
        )

    def _champion(self, project: Project, classes: tuple[str, ...], truth: NDArray[Any], ref: Ref | None) -> Scored | None:
        if ref is None:
            return None
        columns = self._read(ref)
        # A champion of other classes cannot be compared.
        if {name for name in columns if name.startswith("p_")} != {f"p_{name}" for name in classes}:
            return None
        return scored(project.task, classes, truth, columns)

    def _read(self, ref: Ref, names: list[str] | None = None) -> Columns:
        with tempfile.TemporaryDirectory() as scratch:
            return read_columns(self._artifacts.fetch(ref, Path(scratch) / "file"), names)


def expected_metrics(primary: str, model: ModelRecord, metrics: Mapping[str, float]) -> dict[str, float]:
    """The primary metric's median over the tuning folds and the hold-out; empty where it is undefined."""
    periods = [*(model.tuning_folds if model.tuning_metric == primary else ()), metrics.get(primary, math.nan)]
    known = [value for value in periods if math.isfinite(value)]
    return {primary: statistics.median(known)} if known else {}


def decide(project: Project, gates: list[GateResult], case: Case) -> tuple[GateDecision, list[str]]:
    """The decision and its reasons.

    Any failed gate refuses. A champion that could not be compared (it reads features this hold-out lacks, or knows other
    classes) leaves the decision to a person, as ``serving.approval = "manual"`` always does.
    """
    failed = [f"{gate.gate}: {gate.reason}" for gate in gates if not gate.passed]
    if failed:
        return "refuse", failed
    reasons = [f"{gate.gate}: {gate.reason}" for gate in gates if gate.gate in ("champion", "naive")]
    if case.champion_version is None:
        reasons.append("there is no champion yet")
    elif case.champion is None:
        other = f"champion {case.champion_version} cannot be compared: it reads other features or knows other classes"
        return "await_approval", [*reasons, other]
    if project.serving.approval == "manual":
        return "await_approval", [*reasons, "the project requires approval by a person"]
    return "promote", reasons
