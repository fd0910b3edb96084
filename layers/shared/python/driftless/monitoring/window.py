"""The predictions of a window of event time, joined with their labels.

Predictions are read from the collector's Parquet files, labels from the accepted requests. Both
are delivered at least once, in any order. So predictions are deduplicated by id, and of several
labels of one id the one with the latest ``observed_at`` counts.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from driftless.core.layout.lake import day_of, labels_prefix, predictions_prefix
from driftless.core.parquet import Columns, read_columns
from driftless.ports import FileDownloader, ObjectLister, ObjectReader

ColumnKind = Literal["number", "text"]
_READERS = 8


@dataclass(frozen=True)
class Window:
    """Predictions of one version over ``(start, end]``, UTC.

    Attributes
    ----------
    columns : dict of ndarray, each of shape (n,)
        The requested prediction columns, one row per prediction id.
    times : ndarray of datetime64, shape (n,)
        Event time of each prediction; the time of prediction where the request gave none.
    truth : ndarray of object, shape (n,)
        The label, None where there is none yet.
    labels_by_day : dict of date to int
        Labelled predictions of any version, for each whole UTC day that the window touches. Days
        without labels are absent.
    """

    start: datetime
    end: datetime
    columns: Columns
    times: NDArray[np.datetime64]
    truth: NDArray[Any]
    labels_by_day: dict[date, int]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Mask of the rows that have a label, shape (n,)."""
        return np.array([label is not None for label in self.truth], dtype=bool)


class PredictionFiles(ObjectLister, ObjectReader, FileDownloader, Protocol):
    """What reading predictions and labels needs of the lake bucket."""


class Predictions:
    """The collected predictions and labels of one project.

    Parameters
    ----------
    lake : PredictionFiles
    project : str
    folder : Path
        For temporary files.
    """

    def __init__(self, lake: PredictionFiles, project: str, folder: Path) -> None:
        self._lake, self._project, self._folder = lake, project, folder
        self._files = [(day_of(key), key) for key in lake.list(predictions_prefix(project)) if key.endswith(".parquet")]

    def latest(self) -> datetime | None:
        """Event time of the newest prediction, UTC; None when there is none."""
        if not self._files:
            return None
        newest = max(day for day, _ in self._files)
        parts = self._read([key for day, key in self._files if day == newest])
        last = max(_event_times(part).max() for part in parts)
        return datetime.fromisoformat(str(last.astype("datetime64[us]"))).replace(tzinfo=UTC)

    def window(self, start: datetime, end: datetime, version: int, names: Mapping[str, ColumnKind]) -> Window:
        """Read the predictions of one version with an event time in ``(start, end]``.

        Parameters
        ----------
        names : mapping of column to "number" or "text"
            Columns to read; where a file lacks one, it is null.
        """
        first, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
        parts = self._read([key for day, key in self._files if first <= day <= last])
        pieces = [_inside(part, start, end, version, names) for part in parts]
        wanted = {"id": "text", "at": "time", **names}
        columns = {name: _joined([piece[name] for piece in pieces], kind) for name, kind in wanted.items()}
        positions = np.array(sorted({name: row for row, name in enumerate(columns["id"])}.values()), dtype=np.int64)
        columns = {name: values[positions] for name, values in columns.items()}
        labels = self._labels(parts)
        truth = np.array([labels.get(name) for name in columns["id"]], dtype=object)
        days = {name: day for part in parts for name, day in zip(part["id"], _days(_event_times(part)), strict=True)}
        labels_by_day = Counter(days[name] for name in labels)
        return Window(start, end, {name: columns[name] for name in names}, columns["at"], truth, dict(labels_by_day))

    def _labels(self, parts: Sequence[Columns]) -> dict[str, Any]:
        """Labels by prediction id."""
        if not parts:
            return {}
        ids = {name for part in parts for name in part["id"]}
        # A label is received after its prediction was made. One day more allows for clocks that
        # differ.
        since = min(_days(part["time"]).min() for part in parts) - timedelta(days=1)
        keys = [key for key in self._lake.list(labels_prefix(self._project)) if day_of(key) >= since]
        with ThreadPoolExecutor(_READERS) as pool:
            return _latest_labels(pool.map(self._lake.get, keys), ids)

    def _read(self, keys: Sequence[str]) -> list[Columns]:
        with tempfile.TemporaryDirectory(dir=self._folder) as folder, ThreadPoolExecutor(_READERS) as pool:
            paths = [Path(folder, f"{index}.parquet") for index in range(len(keys))]
            list(pool.map(self._lake.download, keys, paths))
            return [read_columns(path) for path in paths]


def _latest_labels(files: Iterable[bytes], ids: set[str]) -> dict[str, Any]:
    """The latest label of each of these predictions, by time observed, then by time received."""
    newest: dict[str, tuple[datetime, datetime]] = {}
    found: dict[str, Any] = {}
    for line in (line for content in files for line in content.splitlines()):
        label = json.loads(line)
        name = label["id"]
        if name not in ids:
            continue
        stamp = (datetime.fromisoformat(label["observed_at"]), datetime.fromisoformat(label["received_at"]))
        if name not in newest or stamp >= newest[name]:
            newest[name], found[name] = stamp, label["label"]
    return found


def _event_times(part: Columns) -> NDArray[np.datetime64]:
    at, time = part["event_time"].astype("datetime64[us]"), part["time"].astype("datetime64[us]")
    return np.where(np.isnat(at), time, at)


def _days(times: NDArray[np.datetime64]) -> NDArray[Any]:
    """UTC days as Python dates."""
    return times.astype("datetime64[D]").astype(object)


def _naive(time: datetime) -> np.datetime64:
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "us")


def _inside(part: Columns, start: datetime, end: datetime, version: int, names: Mapping[str, ColumnKind]) -> Columns:
    at = _event_times(part)
    rows = (at > _naive(start)) & (at <= _naive(end)) & (part["version"] == version)
    count = int(rows.sum())
    found = {name: part[name][rows] if name in part else _nulls(kind, count) for name, kind in names.items()}
    return {"id": part["id"][rows], "at": at[rows], **found}


def _nulls(kind: str, count: int) -> NDArray[Any]:
    return np.full(count, np.nan) if kind == "number" else np.full(count, None, dtype=object)


def _joined(pieces: Sequence[NDArray[Any]], kind: str) -> NDArray[Any]:
    if not pieces:
        return np.empty(0, dtype="datetime64[us]") if kind == "time" else _nulls(kind, 0)
    if kind == "number":
        return np.concatenate([np.asarray(piece, dtype=np.float64) for piece in pieces])
    return np.concatenate(pieces)
