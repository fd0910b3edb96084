"""Groups stay few and their names short, whatever a column holds."""

from __future__ import annotations

import numpy as np

from driftless.evaluation.groups import LEVELS, NAME_LENGTH, cut


def test_a_column_of_many_values_has_its_most_frequent_and_the_others_together() -> None:
    values = np.array([f"v{index % 7}" for index in range(700)] + [f"rare{index}" for index in range(300)], dtype=object)
    masks = cut(values)
    assert len(masks) == LEVELS
    assert {f"v{index}" for index in range(7)} <= set(masks)
    others = masks[f"{307 - (LEVELS - 1)} other values"]
    assert int(others.sum()) == 300 - (LEVELS - 1 - 7)
    assert (np.sum(list(masks.values()), axis=0) == 1).all()


def test_long_values_keep_groups_of_their_own() -> None:
    values = np.array(["x" * 10_000 + end for end in "aab"], dtype=object)
    masks = cut(values)
    assert sorted(int(mask.sum()) for mask in masks.values()) == [1, 2]
    assert max(map(len, masks)) <= NAME_LENGTH
