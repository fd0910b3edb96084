"""What needs no cloud: predictions, drift, imports, package sizes.

The model is the flights project's own pipeline on generated rows, exported as training does; the peer of each prediction is
scikit-learn itself on a DataFrame, in the same process and with the same rows.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftless.definition.loading import load_all
from driftless.definition.project import Project
from driftless.modelling.column_profile import Profile, profile_like, profile_numbers
from driftless.modelling.onnx import OnnxModel
from driftless.monitoring.drift import compare
from driftless.serving.inference.schema import request_validator
from driftless.training.fit.export import interface, to_onnx
from driftless.training.fit.thresholds import settle_thresholds
from driftless.training.pipeline import features_frame, fit, predict
from infra.functions import FUNCTIONS
from tests.bench.report import Row, median_seconds

ROWS = 100_000
REPOSITORY = Path(__file__).resolve().parents[2]
# Earlier measurements on two cores of the same kind of machine, for the reader's orientation.
EARLIER_ONE_ROW_US = 49.0
EARLIER_SKLEARN_ROW_US = 11_100.0
EARLIER_DRIFT_SECONDS = 0.27
EARLIER_IMPORT_MS = {"inference": 669.0}


def generated_rows(project: Project, count: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Rows within each feature's own range and categories."""
    draw = np.random.default_rng(seed)
    columns: dict[str, NDArray[Any]] = {}
    for name, column in project.features.columns.items():
        if column.type == "category":
            columns[name] = draw.choice(np.array(column.allowed or ("AA", "BB", "CC", "DD"), dtype=object), count)
        else:
            low, high = column.range or (0, 100)
            columns[name] = draw.uniform(low or 0, high if high is not None else 100, count)
    return columns


def predictions() -> Iterator[Row]:
    """One row and many rows, ONNX beside scikit-learn."""
    project = load_all(REPOSITORY / "projects")["flights"]
    train = generated_rows(project, 20_000)
    target = np.asarray(train["hour"] + np.random.default_rng(1).normal(0, 6, 20_000) > 14)
    frame = features_frame(project, train)
    pipeline = settle_thresholds(fit(project, {}, frame, target))
    described = interface(project, pipeline)
    model = OnnxModel(to_onnx(project, pipeline), described)
    validator = request_validator(project)

    one = {name: values[:1] for name, values in train.items()}
    body = json.dumps({"records": [{name: values.tolist()[0] for name, values in one.items()}]}).encode()
    one_frame = features_frame(project, one)
    onnx_one = median_seconds(lambda: model.predict(one), 500) * 1e6
    sklearn_one = median_seconds(lambda: predict(project, pipeline, one_frame), 50) * 1e6
    yield Row("prediction", "one row, ONNX (earlier 49 µs)", onnx_one, "µs", "scikit-learn, same run", sklearn_one)
    yield Row("prediction", "typed request parsed", median_seconds(lambda: validator.validate_json(body), 500) * 1e6, "µs")

    many = generated_rows(project, ROWS, seed=2)
    many_frame = features_frame(project, many)
    onnx_rate = ROWS / median_seconds(lambda: model.predict(many), 3)
    sklearn_rate = ROWS / median_seconds(lambda: predict(project, pipeline, many_frame), 3)
    yield Row("prediction", "100,000 rows, ONNX (earlier 157,000)", onnx_rate, "rows/s", "scikit-learn, same run", sklearn_rate)


def drift() -> Iterator[Row]:
    """Profile and compare 100,000 rows of 20 columns against a baseline of as many."""
    draw = np.random.default_rng(3)
    before = {f"column_{i}": draw.normal(0, 1, ROWS) for i in range(20)}
    after = {name: values + 0.05 for name, values in before.items()}
    baseline: dict[str, Profile] = {name: profile_numbers(values) for name, values in before.items()}

    def judge() -> None:
        for name, values in after.items():
            compare(name, baseline[name], profile_like(baseline[name], values))

    yield Row(
        "drift", "100,000 × 20, profile and tests", median_seconds(judge, 3), "s", "earlier, exact tests", EARLIER_DRIFT_SECONDS
    )


def imports() -> Iterator[Row]:
    """CPU time of importing each function's handler in a new process, as a cold start does."""
    path = f"{REPOSITORY / 'layers/shared/python'}:{REPOSITORY}"
    measure = (
        "import resource, importlib.util, sys; spec = importlib.util.spec_from_file_location('handler', sys.argv[1]);"
        "before = resource.getrusage(resource.RUSAGE_SELF); module = importlib.util.module_from_spec(spec);"
        "spec.loader.exec_module(module); after = resource.getrusage(resource.RUSAGE_SELF);"
        "print((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)"
    )
    environment = {"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "POWERTOOLS_TRACE_DISABLED": "1"}
    for folder in FUNCTIONS:
        handler = REPOSITORY / "lambdas" / folder / "handler.py"
        command = [sys.executable, "-c", measure, str(handler)]
        runs = [
            float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout) for _ in range(3)
        ]
        earlier = EARLIER_IMPORT_MS.get(folder)
        yield Row("import", folder, sorted(runs)[1], "CPU ms", "earlier, whole web stack" if earlier else "", earlier)
