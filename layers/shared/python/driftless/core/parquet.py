"""Parquet files as plain numpy columns, for the functions that carry pandas and fastparquet but no DuckDB."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fastparquet
import numpy as np
import pandas
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]


def read_columns(path: Path, names: Sequence[str] | None = None) -> Columns:
    """Columns of a Parquet file in row order.

    Numbers are float64 with NaN for null, texts object arrays with None, booleans bool (object with None when some are
    null), times naive UTC ``datetime64``.
    """
    content = io.BytesIO(path.read_bytes())  # fastparquet leaves files it opened itself to the garbage collector
    file = fastparquet.ParquetFile(content)
    wanted = list(dict.fromkeys(names)) if names is not None else list(file.columns)
    frame = file.to_pandas(columns=wanted)
    return {name: _plain(frame[name]) for name in wanted}


def _plain(series: pandas.Series) -> NDArray[Any]:
    kind = series.dtype
    missing = np.asarray(series.isna())
    if pandas.api.types.is_bool_dtype(kind) and not missing.any():
        return np.asarray(series, dtype=bool)
    if pandas.api.types.is_datetime64_any_dtype(kind):
        return np.asarray(series)
    if pandas.api.types.is_numeric_dtype(kind) and not pandas.api.types.is_bool_dtype(kind):
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    column = np.array(series, dtype=object)
    column[missing] = None
    return column


def write_columns(path: Path, columns: Mapping[str, NDArray[Any]]) -> Path:
    """Write columns as one zstd Parquet file; object arrays are texts."""
    frame = pandas.DataFrame({name: pandas.Series(values, dtype=values.dtype) for name, values in columns.items()})
    texts = {name: "utf8" for name, values in columns.items() if values.dtype == object}
    fastparquet.write(str(path), frame, compression="ZSTD", object_encoding=texts or "infer", write_index=False)
    return path
