"""The fit step: choose, fit, export, profile.

The best candidate by the tuning metric (ties: the lowest index) is fitted again on the whole training part. Candidates without a
score are recorded with it. The step writes data and decides nothing: the ONNX graph, its interface, the column profiles of the
training rows, the scikit-learn pickle for people, and the parity rows with scikit-learn's outputs. The parity gate later compares
these outputs with the graph's.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import joblib
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from driftless.core.layout.artifacts import BASELINE, INTERFACE, JOBLIB, ONNX, run_model
from driftless.core.parquet import read_columns, write_columns
from driftless.definition.learning import HIGHER_IS_BETTER
from driftless.definition.loading import named
from driftless.definition.project import Project
from driftless.errors import BadRequest, CandidateRefused
from driftless.modelling import fitted_packages
from driftless.modelling.column_profile import Baseline, Profile, hidden, profile_categories, profile_numbers
from driftless.modelling.prediction_columns import probability_columns
from driftless.ports import FileFetcher, FileUploader, ObjectWriter
from driftless.records import FailedCandidate, ModelRecord, TrainingRequest, TunedRecord
from driftless.training.fit.export import interface, to_onnx
from driftless.training.fit.parity import parity_rows
from driftless.training.fit.thresholds import settle_thresholds
from driftless.training.pipeline import class_names, features_frame, fit, predict, target_values


class TrainingFiles(FileFetcher, FileUploader, ObjectWriter, Protocol):
    """What training needs of the artifacts bucket."""


class Train:
    """Fit the best candidate and export it.

    Parameters
    ----------
    artifacts : TrainingFiles
        The artifacts bucket.
    projects : mapping of str to Project
    """

    def __init__(self, *, artifacts: TrainingFiles, projects: Mapping[str, Project]) -> None:
        self._artifacts = artifacts
        self._projects = projects

    def __call__(self, request: TrainingRequest) -> ModelRecord:
        """Train one run's model.

        Raises
        ------
        BadProject, CandidateRefused, NotEnoughData, ExportRefused
        """
        run = request.run
        project = named(self._projects, run.project)
        best = choose(request.tuned)
        names = list(project.features.columns)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            train = read_columns(
                self._artifacts.fetch(request.dataset.train, folder / "train.parquet"), [*names, project.target.name]
            )
            holdout = read_columns(self._artifacts.fetch(request.dataset.holdout, folder / "holdout.parquet"), names)
            frame, target = features_frame(project, train), target_values(project, train[project.target.name])
            began = time.perf_counter()
            pipeline = settle_thresholds(fit(project, best.candidate.parameters, frame, target))
            seconds = time.perf_counter() - began
            onnx = to_onnx(project, pipeline)
            challenges = parity_rows(project, holdout)
            expected = predict(project, pipeline, features_frame(project, challenges))
            files = {
                "parity_rows.parquet": write_columns(folder / "rows.parquet", challenges),
                "parity_expected.parquet": write_columns(folder / "expected.parquet", expected),
            }
            refs = {name: self._artifacts.upload(path, run_model(run.project, run.run_id, name)) for name, path in files.items()}
        contents = {
            ONNX: onnx,
            JOBLIB: _pickled(pipeline),
            BASELINE: baseline(project, pipeline, train).model_dump_json().encode(),
            INTERFACE: interface(project, pipeline).to_json(),
        }
        for name, content in contents.items():
            refs[name] = self._artifacts.put(run_model(run.project, run.run_id, name), content)
        return ModelRecord(
            onnx=refs[ONNX],
            joblib=refs[JOBLIB],
            baseline=refs[BASELINE],
            interface=refs[INTERFACE],
            parity_rows=refs["parity_rows.parquet"],
            parity_expected=refs["parity_expected.parquet"],
            parameters={**project.model.parameters, **best.candidate.parameters},
            tuning_metric=best.metric,
            tuning_score=best.score,
            tuning_folds=best.fold_scores,
            failed_candidates=[record for record in request.tuned if isinstance(record, FailedCandidate)],
            fit_seconds=seconds,
            dependencies=fitted_packages.installed(),
        )


def choose(tuned: Sequence[TunedRecord | FailedCandidate]) -> TunedRecord:
    """The best candidate in the metric's own direction; among equals the one of lowest index.

    Raises
    ------
    BadRequest
        When there is none.
    CandidateRefused
        When none has a score.
    """
    if not tuned:
        raise BadRequest("no candidate was tuned, so there is none to fit")
    known = [record for record in tuned if isinstance(record, TunedRecord)]
    if not known:
        failures = {record.failure for record in tuned if isinstance(record, FailedCandidate)}
        raise CandidateRefused(f"none of {len(tuned)} candidates has a score; {len(failures)} reasons, one is {min(failures)}")
    sign = -1 if known[0].metric in HIGHER_IS_BETTER else 1
    return min(known, key=lambda record: (sign * record.score, record.candidate.index))


def baseline(project: Project, pipeline: Pipeline, train: Mapping[str, NDArray[Any]]) -> Baseline:
    """Column profiles of the training rows: features, target, and the model's outputs."""
    frame = features_frame(project, train)
    features: dict[str, Profile] = {}
    for name, column in project.features.columns.items():
        values = frame[name].to_numpy()
        if column.pii:
            features[name] = hidden(values)
        else:
            features[name] = profile_categories(values) if column.type == "category" else profile_numbers(values)
    target = train[project.target.name]
    regression = project.task == "regression"
    outputs = predict(project, pipeline, frame)
    scores = ["prediction"] if regression else probability_columns(class_names(project, pipeline))
    profiles: dict[str, Profile] = {name: profile_numbers(outputs[name]) for name in scores}
    if not regression:
        profiles["prediction"] = profile_categories(outputs["prediction"])
    return Baseline(
        project=project.name,
        rows=len(frame),
        features=features,
        target=profile_numbers(target) if regression else profile_categories(target),
        outputs=profiles,
    )


def _pickled(pipeline: Pipeline) -> bytes:
    content = io.BytesIO()
    joblib.dump(pipeline, content, compress=3)
    return content.getvalue()
