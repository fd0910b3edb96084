"""The score step: predict the frozen hold-out with challenger and champion, by the code that serving uses.

The challenger is the run's ONNX graph. The champion is the version that the endpoint serves now, loaded with verification as in
serving. Both predict through :class:`~driftless.modelling.onnx.OnnxModel`, so the gates judge exactly what would serve. The
challenger also predicts the parity rows. Rows are read in chunks, which bounds the memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import duckdb
import numpy as np
from numpy.typing import NDArray

from driftless.core.layout.artifacts import run_scores, serving_endpoint
from driftless.errors import NotFound
from driftless.modelling.interface import Dtype, parse_interface, unfit
from driftless.modelling.manifest import Manifest
from driftless.modelling.onnx import OnnxModel
from driftless.modelling.prediction_columns import output_columns
from driftless.modelling.references import read
from driftless.ports import FileFetcher, FileUploader, ObjectReader
from driftless.records import Endpoint, Record, Ref, Run, ScoresRecord, ScoringRequest

CHUNK = 50_000
LoadVersion = Callable[[str, int, str], tuple[OnnxModel, Manifest]]
"""``(project, version, manifest_sha256)`` to the verified model and its manifest."""


class _Champion(Record):
    """What the score step found out about the champion."""

    version: int | None = None
    train_end: datetime | None = None
    scores: Ref | None = None


class ScoringFiles(ObjectReader, FileFetcher, FileUploader, Protocol):
    """What scoring needs of the artifacts bucket."""


class Score:
    """Score challenger and champion on one run's hold-out.

    Parameters
    ----------
    artifacts : ScoringFiles
        The artifacts bucket.
    load_version : callable
        Loads and verifies a version: ``(project, version, manifest_sha256)`` to model and manifest.
    """

    def __init__(self, *, artifacts: ScoringFiles, load_version: LoadVersion) -> None:
        self._artifacts = artifacts
        self._load_version = load_version

    def __call__(self, request: ScoringRequest) -> ScoresRecord:
        """Score one run.

        Raises
        ------
        IntegrityError, SignatureInvalid
            When a model is not what was recorded.
        """
        run = request.run
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            holdout = self._artifacts.fetch(request.dataset.holdout, folder / "holdout.parquet")
            rows = self._artifacts.fetch(request.model.parity_rows, folder / "rows.parquet")
            onnx = read(self._artifacts, request.model.onnx)
            interface = read(self._artifacts, request.model.interface)
            challenger = OnnxModel(onnx, parse_interface(request.model.interface.key, interface))
            with duckdb.connect(config={"threads": 1}) as database:
                count = self._write(database, challenger, holdout, folder / "challenger.parquet")
                self._write(database, challenger, rows, folder / "parity.parquet")
                champion = self._champion(database, run, holdout, folder)
            return ScoresRecord(
                challenger=self._upload(run, folder, "challenger"),
                champion=champion.scores,
                champion_version=champion.version,
                champion_train_end=champion.train_end,
                parity_observed=self._upload(run, folder, "parity"),
                rows=count,
            )

    def _champion(self, database: duckdb.DuckDBPyConnection, run: Run, holdout: Path, folder: Path) -> _Champion:
        try:
            endpoint = Endpoint.model_validate_json(self._artifacts.get(serving_endpoint(run.project)))
        except NotFound:
            return _Champion()
        if endpoint.champion is None:
            return _Champion()
        model, manifest = self._load_version(run.project, endpoint.champion, endpoint.manifests[str(endpoint.champion)])
        if unfit(model.dtypes, _dtypes(database, holdout)):
            return _Champion(version=endpoint.champion, train_end=manifest.train_end)
        self._write(database, model, holdout, folder / "champion.parquet")
        scores = self._upload(run, folder, "champion")
        return _Champion(version=endpoint.champion, train_end=manifest.train_end, scores=scores)

    def _upload(self, run: Run, folder: Path, name: str) -> Ref:
        return self._artifacts.upload(folder / f"{name}.parquet", run_scores(run.project, run.run_id, name))

    def _write(self, database: duckdb.DuckDBPyConnection, model: OnnxModel, source: Path, target: Path) -> int:
        labels: list[Any] = []
        parts: list[NDArray[np.float64]] = []
        for columns in _chunks(database, source, model.features):
            predictions = model.predict(columns)
            labels.extend(predictions.labels)
            parts.append(predictions.scores)
        scores = np.concatenate(parts) if parts else model.predict({name: [] for name in model.features}).scores
        database.register("outputs", output_columns(labels, scores, model.classes))
        database.execute(f"COPY (SELECT * FROM outputs) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
        database.unregister("outputs")
        return len(labels)


def _dtypes(database: duckdb.DuckDBPyConnection, path: Path) -> dict[str, Dtype]:
    """The input type of each column of a Parquet file."""
    described = database.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    return {name: "string" if kind == "VARCHAR" else "float" for name, kind, *_ in described}


def _chunks(database: duckdb.DuckDBPyConnection, path: Path, features: Sequence[str]) -> Iterator[Mapping[str, NDArray[Any]]]:
    counted = database.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchone()
    total = int(counted[0]) if counted else 0
    names = ", ".join(f'"{name}"' for name in features)
    query = f"SELECT {names} FROM read_parquet(?, file_row_number = true) WHERE file_row_number BETWEEN ? AND ?"
    for start in range(0, total, CHUNK):
        yield database.execute(query, [str(path), start, start + CHUNK - 1]).fetchnumpy()
