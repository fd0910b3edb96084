"""Parquet columns: written values are read unchanged, and DuckDB's files are read as documented."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np

from driftless.core.parquet import read_columns, write_columns


def test_columns_survive_a_round_trip(tmp_path: Path) -> None:
    columns = {
        "number": np.array([1.5, np.nan, -1e300]),
        "text": np.array(["é", None, ""], dtype=object),
        "flag": np.array([True, False, True]),
        "at": np.array(["2024-01-01T00:00:01", "2024-01-02", "2024-01-03"], dtype="datetime64[us]"),
    }
    found = read_columns(write_columns(tmp_path / "file.parquet", columns))
    assert list(found) == list(columns)
    assert np.array_equal(found["number"], columns["number"], equal_nan=True)
    assert found["text"].tolist() == ["é", None, ""]
    assert found["flag"].dtype == bool and found["flag"].tolist() == [True, False, True]
    assert np.array_equal(found["at"].astype("datetime64[us]"), columns["at"])


def test_duckdbs_nulls_are_nan_and_none(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    values = "(1, 1.5::DOUBLE, 'a', true, TIMESTAMP '2024-01-01 05:00:00'), (NULL, NULL, NULL, NULL, NULL)"
    with duckdb.connect() as database:
        database.execute(f"COPY (SELECT * FROM (VALUES {values}) AS t(i, x, s, b, \"at\")) TO '{path}' (FORMAT parquet)")
    found = read_columns(path, ["s", "x", "b", "i", "at"])
    assert list(found) == ["s", "x", "b", "i", "at"]
    assert found["s"].tolist() == ["a", None] and found["b"].tolist() == [True, None]
    assert np.array_equal(found["x"], [1.5, np.nan], equal_nan=True) and np.array_equal(found["i"], [1, np.nan], equal_nan=True)
    assert found["at"][0] == np.datetime64("2024-01-01T05:00:00") and np.isnat(found["at"][1])


def test_a_column_named_twice_is_read_once(tmp_path: Path) -> None:
    path = write_columns(tmp_path / "file.parquet", {"x": np.array([1.0, 2.0]), "y": np.array([3.0, 4.0])})
    assert list(read_columns(path, ["x", "x"])) == ["x"]
