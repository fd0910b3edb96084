"""Two values differ when they mean something different, not when a service spells them differently."""

from __future__ import annotations

from typing import Any

import pytest

from local_cloud.fidelity.differences import differences
from local_cloud.fidelity.template import UNKNOWN


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": 1, "b": True, "c": [1, 2]}, {"a": "1", "b": "true", "c": [2, 1], "d": 0}),
        ({"Action": "s3:*"}, {"Action": ["s3:*"]}),
        ({"k": "v"}, '{"k": "v"}'),
        (UNKNOWN, "anything"),
        ({}, None),
    ],
)
def test_values_that_mean_the_same_do_not_differ(expected: Any, actual: Any) -> None:
    assert differences(expected, actual, "P") == []


@pytest.mark.parametrize(
    ("expected", "actual", "found"),
    [
        (UNKNOWN, None, ("P", "missing", UNKNOWN, None)),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ("P.a.b", "different", 1, 2)),
        ({"a": {"b": 1}}, {"a": {}}, ("P.a.b", "missing", 1, None)),
        ([1, 2], [1], ("P", "different", [1, 2], [1])),
        ([1, 2], [1, 3], ("P[1]", "different", 2, 3)),
    ],
)
def test_a_difference_has_a_path_and_a_kind(expected: Any, actual: Any, found: tuple[str, str, Any, Any]) -> None:
    assert differences(expected, actual, "P") == [found]
