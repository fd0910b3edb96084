"""Transform: freeze the project's tables at a version and compute the training set, the same bytes whenever it is run again.

The versions are pinned to the run in the registry, so a repeated run reads the same data. Rows without a known label are left
out; whether a label is known is judged at the run's start at the latest, whatever time a row claims. The last days are the
hold-out, the days before them train. A training row whose label was not known when the hold-out began is left out as well.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from driftless.core.duckdb import engine, literal, quoted, scalar
from driftless.core.layout.artifacts import run_dataset
from driftless.data import leakage
from driftless.data.features.compute import compute
from driftless.data.features.tables import load
from driftless.data.features.target import add_target
from driftless.definition.learning import Model
from driftless.definition.loading import named
from driftless.definition.project import Project
from driftless.errors import NotEnoughData
from driftless.ports import FileUploader, RunLog, RunReader, TablePins, TableReader
from driftless.records import Candidate, DatasetFacts, DatasetRecord, Ref, Run, RunFacts, TableVersion, TransformRequest


class TransformRuns(RunLog, RunReader, TablePins, Protocol):
    """What transform needs of the registry."""


class Transform:
    """The transform step.

    Parameters
    ----------
    tables : TableReader
        The lake's tables.
    artifacts : FileUploader
        Takes ``runs/<project>/<run_id>/dataset/{train,holdout}.parquet``.
    registry : TransformRuns
        Pins the data versions of the run.
    projects : mapping of str to Project
        Every project definition, by name.
    git_commit : callable
        The deployed commit, for lineage.
    """

    def __init__(
        self,
        *,
        tables: TableReader,
        artifacts: FileUploader,
        registry: TransformRuns,
        projects: Mapping[str, Project],
        git_commit: Callable[[], str],
    ) -> None:
        self._tables = tables
        self._artifacts = artifacts
        self._registry = registry
        self._projects = projects
        self._git_commit = git_commit

    def __call__(self, request: TransformRequest) -> DatasetRecord:
        run = request.run
        project = named(self._projects, run.project)
        self._registry.record_run(run, RunFacts())
        start = self._registry.run(run.project, run.run_id).recorded_at
        with TemporaryDirectory(prefix="transform-") as folder, engine(Path(folder)) as connection:
            scratch = Path(folder)
            versions = self._snapshot(connection, run, project, scratch)
            compute(connection, project)
            columns = [name for name in add_target(connection, project, now=start) if name not in _personal_keys(project)]
            leakage.check(connection, project)
            split = divide(connection, project)
            train = self._freeze(connection, columns, "train", run, scratch)
            holdout = self._freeze(connection, columns, "holdout", run, scratch)
        record = DatasetRecord(
            tables=versions,
            train=train,
            holdout=holdout,
            features_digest=project.features_digest,
            train_rows=split.train_rows,
            holdout_rows=split.holdout_rows,
            train_start=split.train_start,
            train_end=split.train_end,
            holdout_end=split.holdout_end,
            candidates=candidates(project.model),
            git_commit=self._git_commit(),
        )
        facts = DatasetFacts(
            features_digest=record.features_digest,
            train_rows=record.train_rows,
            holdout_rows=record.holdout_rows,
            train_start=record.train_start,
            train_end=record.train_end,
            holdout_end=record.holdout_end,
            git_commit=record.git_commit,
        )
        self._registry.record_run(run, RunFacts(dataset=facts))
        return record

    def _snapshot(self, connection: Any, run: Run, project: Project, scratch: Path) -> list[TableVersion]:
        """Load the pinned versions, or pin the latest ones."""
        pinned = self._registry.tables(run)
        wanted = {entry.dataset: entry.version for entry in pinned or ()}
        files: dict[str, list[Path]] = {}
        versions: list[TableVersion] = []
        for name in project.datasets:
            table = project.table(name)
            version = wanted[name] if name in wanted else self._tables.latest(table)
            if version is None:
                raise NotEnoughData(f"dataset {project.name}/{name} has no data yet; push a file to it first")
            files[name] = self._tables.fetch(table, version, scratch / name)
            paths = [str(path) for path in files[name]]
            rows = scalar(connection, "SELECT sum(num_rows) FROM parquet_file_metadata(?)", [paths]) if paths else 0
            versions.append(TableVersion(dataset=name, table=table, version=version, rows=int(rows)))
        self._registry.record_tables(run, versions)
        load(connection, project, files)
        return versions

    def _freeze(self, connection: Any, columns: list[str], part: str, run: Run, scratch: Path) -> Ref:
        path = scratch / f"{part}.parquet"
        wanted = ", ".join(quoted(name) for name in columns)
        connection.execute(
            f"COPY (SELECT {wanted} FROM labelled JOIN parts USING (_position) WHERE _part = {literal(part)} ORDER BY _position) "
            f"TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
        )
        return self._artifacts.upload(path, run_dataset(run.project, run.run_id, part))


def _personal_keys(project: Project) -> set[str]:
    """Key columns with personal values: no later step needs them, so they stay in the lake."""
    base = project.datasets[project.features.base]
    keys = {name for name in base.key if base.columns[name].pii}
    return keys - {base.event_time, *project.features.columns}


@dataclass(frozen=True)
class Split:
    """How many rows train and judge, and when; intervals are half open, UTC."""

    train_rows: int
    holdout_rows: int
    train_start: datetime
    train_end: datetime
    holdout_end: datetime


def divide(connection: Any, project: Project) -> Split:
    """Fill ``parts(_position, _part)`` from ``labelled``.

    Raises
    ------
    NotEnoughData
        When either part is smaller than the project requires, or a classifier would see a single class.
    """
    split = project.split
    target = quoted(project.target.name)
    time = quoted(project.datasets[project.features.base].event_time)
    last = scalar(connection, f"SELECT max({time}) FROM labelled WHERE {target} IS NOT NULL")
    if last is None:
        raise NotEnoughData(f"no row of {project.name} has a known label yet")
    holdout_end = last.replace(microsecond=0) + timedelta(seconds=1)
    if split.by == "time":
        boundary = holdout_end - timedelta(days=split.holdout_days)
        start = boundary - timedelta(days=split.train_days)
        known = f"{time} + to_microseconds({round(project.target.label_delay.total_seconds() * 1e6)}) <= ?"
        rule = f"CASE WHEN {time} >= ? THEN 'holdout' WHEN {time} >= ? AND {known} THEN 'train' END"
        parameters: list[Any] = [boundary, start, boundary]
    else:
        boundary = holdout_end
        digest = f"('0x' || md5({literal(split.seed)}::VARCHAR || ' ' || _position::VARCHAR)[1:8])::BIGINT / 4294967296.0"
        rule, parameters = f"CASE WHEN {digest} < ? THEN 'holdout' ELSE 'train' END", [split.holdout_fraction]
    connection.execute(
        f"CREATE OR REPLACE TABLE parts AS SELECT _position, {rule} AS _part FROM labelled WHERE {target} IS NOT NULL", parameters
    )
    found = {}
    for part, minimum in (("train", split.minimum_train_rows), ("holdout", split.minimum_holdout_rows)):
        rows, classes, first = connection.execute(
            f"SELECT count(*), count(DISTINCT {target}), min({time}) FROM labelled JOIN parts USING (_position) WHERE _part = ?",
            [part],
        ).fetchone()
        if rows < minimum:
            raise NotEnoughData(f"{part} part of {project.name} has {rows} labelled rows, split.minimum_{part}_rows is {minimum}")
        if project.task != "regression" and classes < 2:
            raise NotEnoughData(f"{part} part of {project.name} has labels of one class only")
        found[part] = rows, first
    return Split(
        train_rows=found["train"][0],
        holdout_rows=found["holdout"][0],
        train_start=found["train"][1].replace(tzinfo=UTC),
        train_end=boundary.replace(tzinfo=UTC),
        holdout_end=holdout_end.replace(tzinfo=UTC),
    )


def candidates(model: Model) -> list[Candidate]:
    """Points of the search space: the first takes each parameter's first value, the others are drawn by the model's seed."""
    names, values = [*model.search], [*model.search.values()]
    size = prod(len(choices) for choices in values)
    count = min(model.candidates, size)
    chosen = [0, *random.Random(model.seed).sample(range(1, size), count - 1)]  # noqa: S311 - a reproducible draw, no secret
    return [Candidate(index=index, parameters=_point(number, names, values)) for index, number in enumerate(chosen)]


def _point(number: int, names: list[str], values: list[tuple[Any, ...]]) -> dict[str, Any]:
    parameters = {}
    for name, choices in zip(names, values, strict=True):
        number, position = divmod(number, len(choices))
        parameters[name] = choices[position]
    return parameters
