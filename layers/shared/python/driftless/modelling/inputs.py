"""Convert values to model inputs: one convention for fitting, scoring and serving.

Each feature is one tensor. Numbers, integers and booleans are float32 with NaN for null; categories are strings with ``""`` for
null. A number beyond float32 becomes the nearest finite float32, because scikit-learn refuses infinity and ONNX Runtime accepts
it. The inputs of the fitted Pipeline and of its ONNX graph are both made here, so rounding and nulls cannot differ. The module
imports only numpy, the one package that the fitting functions and the serving function share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftless.errors import BadRequest

Values = Sequence[Any] | NDArray[Any]
LARGEST = float(np.finfo(np.float32).max)
PROVEN = 1.7e12
"""Largest number where the project states no range. The parity gate tests the export up to here, and a linear model would return
infinity for the ends of float32."""


def _plain(values: Values) -> Values:
    """A masked array (DuckDB's nulls) as an ordinary one, None where masked."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    if not np.ma.is_masked(values):
        return np.asarray(values.data)
    if values.dtype.kind == "f":
        return np.asarray(values.filled(np.nan))
    plain = values.data.astype(object)
    plain[np.ma.getmaskarray(values)] = None
    return plain


def float_matrix(columns: Mapping[str, Values], names: Sequence[str]) -> NDArray[np.float32]:
    """Numeric columns as float32.

    Parameters
    ----------
    columns : mapping of str to sequence or ndarray, each of length n
        Numbers or booleans; null is None, NaN or a masked element.
    names : sequence of str
        The columns to take, in order.

    Returns
    -------
    ndarray of shape (len(names), n)
        One contiguous row per column.

    Raises
    ------
    BadRequest
        When a value is not a number.
    """
    try:
        matrix = np.array([_plain(columns[name]) for name in names], dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRequest(f"a numeric input is not a number: {error}") from error
    if names and matrix.ndim != 2:
        raise BadRequest("a numeric input is not a number: a sequence")
    return np.clip(matrix, -LARGEST, LARGEST).astype(np.float32)


def string_column(values: Values) -> NDArray[np.object_]:
    """A category column as an object array of str, shape (n,); ``""`` for None, NaN and masked elements."""
    plain = _plain(values)
    column = np.empty(len(plain), dtype=object)
    column[:] = ["" if value is None or value != value else str(value) for value in plain]
    return column


def require(columns: Mapping[str, Values], names: Iterable[str]) -> int:
    """Number of rows of ``columns``, once all ``names`` are there and equally long.

    Raises
    ------
    BadRequest
        Naming what is missing or differs.
    """
    wanted = list(names)
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise BadRequest(f"input columns are missing: {', '.join(missing)}")
    lengths = {len(columns[name]) for name in wanted}
    if len(lengths) > 1:
        raise BadRequest(f"input columns differ in length: {sorted(lengths)}")
    return lengths.pop() if lengths else 0
