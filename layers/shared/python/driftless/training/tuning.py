"""The tune step: score one candidate by cross-validation forward in time.

Each fold validates on a window as long as the hold-out, and trains on all earlier rows whose target was known when the window
began. So a candidate is judged as the model will be used. (A project with a random split is cross-validated at random.) This step
never reads the hold-out. A candidate that scikit-learn refuses is a result like a score, because others may remain.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftless.core.parquet import read_columns
from driftless.definition.loading import named
from driftless.definition.project import Project
from driftless.errors import CandidateRefused, NotEnoughData
from driftless.modelling.metrics import measure
from driftless.modelling.prediction_columns import scored
from driftless.ports import FileFetcher
from driftless.records import Candidate, FailedCandidate, TunedRecord, TuningRequest
from driftless.training.pipeline import class_names, features_frame, fit, predict, target_values

MINIMUM_FOLD_ROWS = 10
Fold = tuple[NDArray[np.int64], NDArray[np.int64]]


class Tune:
    """Cross-validate one candidate on the training part.

    Parameters
    ----------
    artifacts : FileFetcher
        The artifacts bucket.
    projects : mapping of str to Project
    """

    def __init__(self, *, artifacts: FileFetcher, projects: Mapping[str, Project]) -> None:
        self._artifacts = artifacts
        self._projects = projects

    def __call__(self, request: TuningRequest) -> TunedRecord | FailedCandidate:
        """Score one candidate.

        Raises
        ------
        BadProject
            When the estimator or a parameter is not allowed.
        NotEnoughData
            When no fold can be judged.
        """
        project = named(self._projects, request.run.project)
        event_time = project.datasets[project.features.base].event_time
        wanted = [*project.features.columns, event_time, project.target.name]
        with tempfile.TemporaryDirectory() as scratch:
            columns = read_columns(self._artifacts.fetch(request.dataset.train, Path(scratch) / "train.parquet"), wanted)
        began = time.perf_counter()
        try:
            scores = cross_validate(project, request.candidate, columns, columns[event_time])
        except CandidateRefused as error:
            return FailedCandidate(candidate=request.candidate, failure=str(error))
        return TunedRecord(
            candidate=request.candidate,
            metric=project.gates.primary,
            score=float(np.mean(scores)),
            fold_scores=scores,
            seconds=time.perf_counter() - began,
        )


def cross_validate(
    project: Project, candidate: Candidate, columns: Mapping[str, NDArray[Any]], times: NDArray[np.datetime64]
) -> list[float]:
    """Primary metric of each fold that can be judged; a fold with only one class, or too few rows, is left out.

    Raises
    ------
    CandidateRefused
        When it cannot be fitted, or the metric is finite in no fold.
    NotEnoughData
        When no fold is left.
    """
    frame, truth = features_frame(project, columns), columns[project.target.name]
    found, fitted = [], 0
    for train, judge in folds(project, times):
        if min(len(train), len(judge)) < MINIMUM_FOLD_ROWS:
            continue
        try:
            target = target_values(project, truth[train])
        except NotEnoughData:
            continue
        pipeline = fit(project, candidate.parameters, frame.iloc[train], target)
        fitted += 1
        outputs = predict(project, pipeline, frame.iloc[judge])
        value = measure(project.gates.primary, scored(project.task, class_names(project, pipeline), truth[judge], outputs))
        if np.isfinite(value):
            found.append(value)
    if fitted and not found:
        raise CandidateRefused(f"{project.gates.primary} of the predictions with {candidate.parameters} is finite in no fold")
    if not found:
        raise NotEnoughData(f"none of {project.model.folds} folds of {len(times)} training rows can be judged")
    return found


def folds(project: Project, times: NDArray[np.datetime64]) -> Iterator[Fold]:
    """Positions of training and of validation rows, fold by fold, earliest first."""
    count = project.model.folds
    if project.split.by == "random":
        order = np.random.default_rng(project.split.seed).permutation(len(times))
        for part in np.array_split(order, count):
            yield np.setdiff1d(order, part), np.sort(part)
        return
    micros = times.astype("datetime64[us]").astype(np.int64)
    first, end = int(micros.min()), int(micros.max()) + 1
    window = min(int(project.split.holdout_days * 86_400_000_000), (end - first) // (count + 1))
    delay = int(project.target.label_delay.total_seconds() * 1_000_000)
    for start in (end - window * back for back in range(count, 0, -1)):
        yield np.flatnonzero(micros < start - delay), np.flatnonzero((micros >= start) & (micros < start + window))
