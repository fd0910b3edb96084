"""One convention for model inputs."""

from __future__ import annotations

import numpy as np
import pytest

from driftless.errors import BadRequest
from driftless.modelling.inputs import LARGEST, Values, float_matrix, require, string_column
from driftless.modelling.interface import dtype_of


def test_only_categories_are_strings() -> None:
    assert [dtype_of(kind) for kind in ("number", "integer", "boolean", "category")] == ["float", "float", "float", "string"]


def test_numbers_are_float32_with_nan_for_null_and_finite_ends() -> None:
    columns: dict[str, Values] = {
        "a": [1, None, 2**60],
        "b": np.array([1e300, -np.inf, 0.1]),
        "c": [True, False, None],
        "d": np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False]),
        "e": np.ma.masked_array([1, 2, 3], mask=[True, False, False]),
    }
    found = float_matrix(columns, list(columns))
    assert found.dtype == np.float32 and found.shape == (5, 3)
    expected = [[1, np.nan, 2**60], [LARGEST, -LARGEST, np.float32(0.1)], [1, 0, np.nan], [1, np.nan, 3], [np.nan, 2, 3]]
    assert np.array_equal(found, np.array(expected, dtype=np.float32), equal_nan=True)


def test_texts_keep_their_words_and_null_is_the_empty_text() -> None:
    masked = np.ma.masked_array(["a", "b"], mask=[False, True], dtype=object)
    assert string_column(["x", None, float("nan"), "", 7]).tolist() == ["x", "", "", "", "7"]
    assert string_column(masked).tolist() == ["a", ""] and string_column([]).dtype == object


@pytest.mark.parametrize("values", [["one"], [[1.0, 2.0]], [10**400], [{}]])
def test_a_value_that_is_not_a_number_is_a_bad_request(values: list[object]) -> None:
    with pytest.raises(BadRequest, match="is not a number"):
        float_matrix({"a": values}, ["a"])


def test_columns_must_be_there_and_equally_long() -> None:
    assert require({"a": [1, 2], "b": [3, 4]}, ["a", "b"]) == 2
    with pytest.raises(BadRequest, match="missing: b, c"):
        require({"a": [1]}, ["a", "b", "c"])
    with pytest.raises(BadRequest, match=r"differ in length: \[1, 2\]"):
        require({"a": [1], "b": [1, 2]}, ["a", "b"])
