"""Block bootstrap: paired, by day, and the same by the fast and by the general road."""

from __future__ import annotations

import math

import numpy as np
import pytest

from driftless.modelling import intervals
from driftless.modelling.intervals import day_blocks, difference_interval, metric_interval
from driftless.modelling.metrics import Scored

CLASSES = ("false", "true")


def _scored(truth: np.ndarray, p: np.ndarray) -> Scored:
    return Scored("binary", CLASSES, truth.astype(np.int64), np.column_stack([1 - p, p]), (p > 0.5).astype(np.int64))


def _world(days: int = 14, per_day: int = 100, seed: int = 0) -> tuple[Scored, Scored, np.ndarray]:
    """Days differ in their rate; the second model knows the rate, the first only the mean."""
    generator = np.random.default_rng(seed)
    rates = generator.uniform(0.1, 0.6, days)
    blocks = np.repeat(np.arange(days), per_day)
    truth = generator.random(days * per_day) < rates[blocks]
    return _scored(truth, np.full(len(truth), 0.35)), _scored(truth, rates[blocks]), blocks


def test_days_are_blocks_in_utc() -> None:
    times = np.array(["2024-01-02T23:59", "2024-01-01T00:00", "2024-01-03T00:00", "2024-01-02T00:00"], dtype="datetime64[us]")
    assert day_blocks(times).tolist() == [1, 0, 2, 1]


def test_a_better_model_is_surely_better_and_a_twin_is_not() -> None:
    mean, oracle, blocks = _world()
    better = difference_interval("log_loss", oracle, mean, blocks, confidence=0.95, resamples=500)
    assert better.low < better.estimate < better.high < 0 and better.blocks == 14
    twin = difference_interval("log_loss", mean, mean, blocks, confidence=0.95, resamples=500)
    assert (twin.low, twin.estimate, twin.high) == (0, 0, 0)


def test_days_that_differ_make_the_interval_wider_than_rows_would() -> None:
    mean, _, blocks = _world()
    by_day = metric_interval("log_loss", mean, blocks, confidence=0.95, resamples=500)
    by_row = metric_interval("log_loss", mean, np.arange(len(blocks)), confidence=0.95, resamples=500)
    assert by_day.high - by_day.low > 2 * (by_row.high - by_row.low)


def test_sums_by_block_and_weights_by_row_give_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    mean, oracle, blocks = _world()
    fast = difference_interval("brier", oracle, mean, blocks, confidence=0.9, resamples=100)
    monkeypatch.setattr(intervals, "row_losses", lambda metric, scored: None)
    slow = difference_interval("brier", oracle, mean, blocks, confidence=0.9, resamples=100)
    assert (fast.low, fast.high, fast.estimate) == pytest.approx((slow.low, slow.high, slow.estimate))


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    # The expected log-loss of the constant 0.35 when rates are uniform in 0.1 to 0.6 is that of rate 0.35.
    expected = -(0.35 * math.log(0.35) + 0.65 * math.log(0.65))
    hits = 0
    for seed in range(100):
        mean, _, blocks = _world(days=20, per_day=50, seed=seed)
        found = metric_interval("log_loss", mean, blocks, confidence=0.9, resamples=200)
        hits += found.low <= expected <= found.high
    assert 75 <= hits <= 97


def test_undefined_draws_are_left_out_and_nothing_is_undecided() -> None:
    blocks = np.repeat(np.arange(8), 10)
    truth = np.repeat([1, 1, 1, 0, 0, 0, 0, 0], 10)
    p = np.random.default_rng(0).random(80)
    found = metric_interval("auc", _scored(truth, p), blocks, confidence=0.95, resamples=300)
    assert 0 <= found.low <= found.high <= 1
    one_class = metric_interval("auc", _scored(np.ones(80), p), blocks, confidence=0.95, resamples=100)
    assert math.isnan(one_class.low) and math.isnan(one_class.estimate)
    empty = metric_interval("auc", _scored(np.ones(0), p[:0]), blocks[:0], confidence=0.95, resamples=100)
    assert empty.blocks == 0 and math.isnan(empty.high)


def test_pairs_by_block_and_weights_by_row_give_the_same_aucs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ties, days without a true row, and days that miss a class altogether."""
    generator = np.random.default_rng(5)
    blocks = np.repeat(np.arange(12), 40)
    truth = generator.random(480) < np.repeat([0, 0.02, *[0.4] * 9, 1], 40)
    p, q = np.round(generator.random(480), 2), np.round(generator.random(480) * 0.5 + truth * 0.2, 1)
    ours, theirs = _scored(truth, q), _scored(truth, p)
    fast = difference_interval("auc", ours, theirs, blocks, confidence=0.9, resamples=200)
    monkeypatch.setattr(intervals, "_PAIRED_BLOCKS", 0)
    slow = difference_interval("auc", ours, theirs, blocks, confidence=0.9, resamples=200)
    assert (fast.low, fast.high, fast.estimate) == pytest.approx((slow.low, slow.high, slow.estimate), abs=1e-12)
    assert slow.low < slow.estimate < slow.high
