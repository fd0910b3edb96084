"""Profiles: bins that see what leaves the known range, categories, constants, and what is hidden."""

from __future__ import annotations

import numpy as np
import pytest

from driftless.modelling.column_profile import (
    BINS,
    Baseline,
    CategoryProfile,
    NumberProfile,
    hidden,
    profile_categories,
    profile_like,
    profile_numbers,
)


def counts_like(reference: NumberProfile, values: list[float]) -> list[int]:
    """The counts of other values over the bins of a reference."""
    profile = profile_like(reference, np.array(values))
    assert isinstance(profile, NumberProfile)
    return profile.counts


def test_few_distinct_values_have_a_bin_each_with_room_below_and_above() -> None:
    reference = profile_numbers(np.array([1.0, 2.0, 2.0, 5.0, np.nan]))
    assert (reference.rows, reference.nulls) == (5, 1)
    assert reference.counts == [0, 1, 2, 1, 0]
    moved = profile_numbers(np.array([0.0, 1.0, 1.5, 5.0, 6.0, np.inf]), reference.edges)
    assert moved.counts == [1, 1, 1, 1, 2]


def test_many_distinct_values_fill_at_most_256_bins_evenly() -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    profile = profile_numbers(values)
    assert len(profile.counts) <= BINS and sum(profile.counts) == 100_000
    assert profile.counts[0] == profile.counts[-1] == 0
    assert max(profile.counts) < 2 * 100_000 / (BINS - 2)
    assert profile.mean == pytest.approx(values.mean()) and profile.minimum == values.min()


def test_counts_over_the_same_edges_add_up() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    edges = profile_numbers(values).edges
    parts = [profile_numbers(part, edges).counts for part in np.array_split(values, 3)]
    assert np.sum(parts, axis=0).tolist() == profile_numbers(values, edges).counts


def test_constants_are_flagged_and_a_move_below_is_seen() -> None:
    constant = profile_numbers(np.full(1000, 7.0))
    assert constant.constant and constant.near_constant and constant.dominant == 7.0
    assert counts_like(constant, [6.0, 7.0, 8.0]) == [1, 1, 1]
    nearly = profile_numbers(np.r_[np.zeros(995), np.arange(1, 6)])
    assert nearly.near_constant and not nearly.constant and nearly.dominant_share == 0.995
    assert not profile_numbers(np.arange(100.0)).near_constant


def test_nothing_but_nulls_is_a_profile_too() -> None:
    empty = profile_numbers(np.array([np.nan, np.nan]))
    assert (empty.nulls, empty.counts, empty.mean, empty.dominant, empty.constant) == (2, [0], None, None, False)
    assert counts_like(empty, [1.0, 2.0]) == [2]


def test_categories_count_nulls_apart_and_newcomers_together() -> None:
    reference = profile_categories(np.array(["a", "b", "a", None, ""], dtype=object))
    assert (reference.nulls, reference.counts, reference.other, reference.distinct) == (2, {"a": 2, "b": 1}, 0, 2)
    moved = profile_like(reference, np.array(["a", "new", "newer", None], dtype=object))
    assert isinstance(moved, CategoryProfile)
    assert (moved.counts, moved.other, moved.nulls) == ({"a": 1, "b": 0}, 2, 1)
    assert profile_categories(np.array([True, False, True])).counts == {"true": 2, "false": 1}


def test_hidden_columns_keep_no_value() -> None:
    profile = hidden(np.array(["Ada", None, ""], dtype=object))
    assert profile.model_dump() == {"kind": "hidden", "rows": 3, "nulls": 2}
    assert profile_like(profile, np.array([1.0, np.nan])).nulls == 1


def test_a_baseline_survives_json() -> None:
    numbers, categories = profile_numbers(np.array([1.0, np.nan])), profile_categories(["a"])
    baseline = Baseline(
        project="demo", rows=2, features={"n": numbers, "c": categories}, target=categories, outputs={"p": numbers}
    )
    assert Baseline.model_validate_json(baseline.model_dump_json()) == baseline
