"""Column detectors on known distributions: false-alarm rate, power, columns without quantiles."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp

from driftless.definition.operation import Monitoring
from driftless.modelling.column_profile import Profile, profile_categories, profile_like, profile_numbers
from driftless.monitoring.detectors import Comparison
from driftless.monitoring.detectors.shares import Share, compare_shares
from driftless.monitoring.detectors.stability import coarsen, excess_index, stability_index
from driftless.monitoring.drift import compare, compare_all, holm, judge
from driftless.records import Signal

RNG = np.random.default_rng


def numbers(values: np.ndarray, reference: np.ndarray) -> list[Comparison]:
    before = profile_numbers(reference)
    return compare("x", before, profile_like(before, values))


def categories(values: list[str], reference: list[str]) -> list[Comparison]:
    before = profile_categories(reference)
    return compare("x", before, profile_like(before, np.array(values, dtype=object)))


def level(found: list[Comparison], settings: Monitoring | None = None) -> Signal:
    (signal,) = judge(found, settings or Monitoring())
    return signal


def test_false_alarms_without_drift_stay_at_the_nominal_rate() -> None:
    """Without a threshold on effect size, the family-wise error rate is the significance level."""
    settings = Monitoring(significance=0.05, psi_warn=1e-12, psi_alert=1.0)
    generator = RNG(1)
    reference = {f"n{i}": profile_numbers(generator.normal(size=4000)) for i in range(4)}
    shares = [0.4, 0.3, 0.2, 0.08, 0.02]
    grouped: dict[str, Profile] = {
        f"c{i}": profile_categories(generator.choice(list("abcde"), 4000, p=shares).tolist()) for i in range(4)
    }
    alarms = 0
    for _ in range(200):
        now: dict[str, Profile] = {
            name: profile_like(profile, generator.normal(size=1000)) for name, profile in reference.items()
        }
        now |= {n: profile_like(p, generator.choice(list("abcde"), 1000, p=shares).astype(object)) for n, p in grouped.items()}
        alarms += any(signal.level for signal in judge(compare_all({**reference, **grouped}, now), settings))
    # 0.05 of 200 is 10; the chance of more than 20 is below 0.002. The reference is shared, so leave the tail to that.
    assert alarms <= 20


def test_default_thresholds_raise_no_false_alarm() -> None:
    generator = RNG(2)
    reference = profile_numbers(generator.normal(size=4000))
    levels = [level(compare("x", reference, profile_like(reference, generator.normal(size=500)))).level for _ in range(300)]
    assert levels == [0] * 300


@pytest.mark.parametrize(("shift", "expected"), [(0.0, 0), (0.1, 0), (0.4, 1), (1.0, 2)])
def test_the_level_grows_with_the_shift(shift: float, expected: int) -> None:
    generator = RNG(3)
    assert level(numbers(generator.normal(shift, size=3000), generator.normal(size=8000))).level == expected


def test_a_large_shift_in_too_few_rows_raises_nothing() -> None:
    generator = RNG(4)
    assert level(numbers(generator.normal(1, size=6), generator.normal(size=8000))).level == 0


def test_a_tiny_shift_in_very_many_rows_is_significant_and_raises_nothing() -> None:
    generator = RNG(5)
    (found,) = numbers(generator.normal(0.03, size=100_000), generator.normal(size=100_000))
    assert found.p < 0.001
    assert level([found]).level == 0


def test_kolmogorov_smirnov_over_bins_is_near_the_exact_one() -> None:
    generator = RNG(6)
    reference, values = generator.normal(size=5000), generator.normal(0.2, 1.3, size=2000)
    exact = ks_2samp(reference, values, method="asymp")
    (found,) = numbers(values, reference)
    assert found.statistic == pytest.approx(exact.statistic, abs=0.005)
    assert np.log10(found.p) == pytest.approx(np.log10(exact.pvalue), abs=2)


def test_chi_squared_is_pearsons() -> None:
    reference, values = ["a"] * 500 + ["b"] * 300 + ["c"] * 200, ["a"] * 150 + ["b"] * 120 + ["c"] * 60
    found = next(item for item in categories(values, reference) if item.test == "chi2")
    exact = chi2_contingency([[500, 300, 200], [150, 120, 60]], correction=False)
    assert found.statistic == pytest.approx(exact.statistic)
    assert found.p == pytest.approx(exact.pvalue)


def test_a_constant_column_that_starts_to_vary_is_an_alert() -> None:
    reference = np.full(5000, 7.0)
    signal = level(numbers(RNG(7).normal(7, 1, size=2000), reference))
    assert signal.level == 2
    below_or_above = level(numbers(np.r_[np.full(1900, 7.0), np.full(100, 9.0)], reference))
    assert below_or_above.level == 2


def test_drift_of_a_near_constant_column_is_found_where_quantile_bins_fail() -> None:
    reference = np.r_[np.zeros(9950), np.linspace(0.1, 1, 50)]
    values = np.r_[np.zeros(1700), np.linspace(0.1, 1, 300)]
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, 11)))
    before, after = (np.histogram(side, edges)[0].astype(np.float64) for side in (reference, values))
    assert stability_index(before, after) == 0
    signal = level(numbers(values, reference))
    assert signal.level == 2
    assert level(numbers(np.r_[np.zeros(1990), np.linspace(0.1, 1, 10)], reference)).level == 0


def test_a_column_that_stays_constant_raises_nothing() -> None:
    assert level(numbers(np.full(1000, 7.0), np.full(5000, 7.0))).level == 0
    assert level(categories(["a"] * 1000, ["a"] * 5000)).level == 0


def test_unseen_categories_are_an_alert() -> None:
    reference = ["a"] * 2500 + ["b"] * 2500
    signal = level(categories(["a"] * 450 + ["b"] * 450 + ["new"] * 100, reference))
    assert signal.level == 2
    unseen = next(item for item in categories(["a"] * 900 + ["new"] * 100, reference) if item.test == "unseen")
    assert unseen.detail == "0.0% to 10.0% in categories unseen in training"


def test_many_rare_categories_are_no_drift() -> None:
    generator = RNG(8)
    names = [f"k{i}" for i in range(400)]
    weights = 1 / np.arange(1, 401)

    def draw(count: int) -> list[str]:
        return [str(name) for name in generator.choice(names, count, p=weights / weights.sum())]

    reference = profile_categories(draw(20_000))
    levels = [
        level(compare("x", reference, profile_like(reference, np.array(draw(600), dtype=object)))).level for _ in range(100)
    ]
    assert sum(levels) == 0


def test_new_nulls_are_an_alert_of_their_own() -> None:
    generator = RNG(9)
    values = generator.normal(size=2000)
    values[:500] = np.nan
    found = numbers(values, generator.normal(size=5000))
    signal = level(found)
    assert (signal.level, signal.statistic) == (2, "psi:nulls")
    assert {item.test for item in found} == {"nulls", "ks"}


def test_a_column_that_became_all_null_is_an_alert() -> None:
    assert level(numbers(np.full(1000, np.nan), RNG(10).normal(size=5000))).level == 2


def test_values_outside_the_training_range_count() -> None:
    reference = RNG(11).uniform(0, 1, size=5000)
    values = RNG(12).uniform(0, 1, size=2000)
    values[:200] += 5
    assert level(numbers(values, reference)).level >= 1


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03, 0.5]) == [pytest.approx(0.04), pytest.approx(0.09), pytest.approx(0.09), pytest.approx(0.5)]
    assert holm([]) == []
    assert max(holm([0.9, 0.8])) == 1.0


def test_the_index_beyond_chance_is_unbiased_without_drift() -> None:
    generator = RNG(13)
    shares = np.full(10, 0.1)

    def draw(count: int) -> np.ndarray:
        return generator.multinomial(count, shares).astype(np.float64)

    raw = [stability_index(draw(2000), draw(500)) for _ in range(400)]
    assert np.mean(raw) == pytest.approx(9 * (1 / 2000 + 1 / 500), rel=0.15)
    assert excess_index(np.full(10, 200.0), np.full(10, 50.0)) == 0.0


def test_coarse_bins_hold_a_tenth_each_and_keep_every_count() -> None:
    reference = profile_numbers(RNG(14).exponential(size=20_000))
    before = np.array(reference.counts, dtype=np.float64)
    merged, same = coarsen(before, before)
    assert merged.sum() == before.sum() and (merged == same).all()
    assert len(merged) == 12
    assert merged[1:-1] / before.sum() == pytest.approx(np.full(10, 0.1), abs=0.01)


def doubled_tail(hits: int, n: int, again: int, m: int) -> float:
    """Twice the smaller tail of the hypergeometric distribution, in exact arithmetic."""
    both, ways = hits + again, comb(n + m, hits + again)
    chances = {
        found: Fraction(comb(m, found) * comb(n, both - found), ways) for found in range(max(0, both - n), min(m, both) + 1)
    }
    below = sum(chance for found, chance in chances.items() if found <= again)
    above = sum(chance for found, chance in chances.items() if found >= again)
    return float(min(Fraction(1), 2 * min(below, above)))


@pytest.mark.parametrize(
    ("hits", "n", "again", "m"),
    [(0, 5000, 3, 20), (3, 5000, 0, 40), (9, 12, 0, 11), (5000, 5000, 17, 20), (0, 500_000, 4, 500_000), (1, 990_000, 2, 9)],
)
def test_few_counts_are_judged_by_fishers_exact_test(hits: int, n: int, again: int, m: int) -> None:
    _, p = compare_shares(Share(hits, n), Share(again, m))
    both = hits + again
    # The distribution is the same when hits and misses change places; the rarer of the two keeps the numbers small.
    rare = (hits, n, again, m) if both <= (n + m) / 2 else (n - hits, n, m - again, m)
    assert p == pytest.approx(doubled_tail(*rare), rel=1e-6)


@pytest.mark.parametrize("kind", ["category", "null"])
def test_one_unusual_row_among_few_raises_nothing(kind: str) -> None:
    """A column may be null in all but a few rows; the normal approximation raises an alarm here."""
    if kind == "category":
        found = categories(["a"] * 9 + ["new"], ["a"] * 3000 + ["b"] * 2000)
    else:
        found = numbers(np.r_[RNG(1).normal(size=19), np.nan], RNG(2).normal(size=5000))
    assert max(item.index for item in found) > 0.1
    assert level(found).level == 0


def test_a_long_tail_of_categories_raises_nothing_at_any_sample_size() -> None:
    generator = RNG(15)
    weights = 1 / np.arange(1, 3001) ** 1.5
    names = np.array([f"c{index}" for index in range(3000)], dtype=object)

    def draw(count: int) -> np.ndarray:
        return generator.choice(names, count, p=weights / weights.sum())

    reference = profile_categories(draw(20_000))
    assert reference.other > 0, "more categories than a profile counts one by one"
    for count in (5, 20, 80, 500):
        levels = [level(compare("x", reference, profile_like(reference, draw(count)))).level for _ in range(60)]
        assert levels == [0] * 60, count


def test_thousands_of_categories_with_reversed_shares_are_an_alert() -> None:
    generator = RNG(16)
    weights = 1 / np.arange(1, 3001) ** 1.2
    names = np.array([f"c{index}" for index in range(3000)], dtype=object)
    shares = weights / weights.sum()
    reference = profile_categories(generator.choice(names, 20_000, p=shares))
    assert level(compare("x", reference, profile_like(reference, generator.choice(names, 2000, p=shares[::-1])))).level == 2


def test_an_all_null_column_raises_nothing_until_it_has_values() -> None:
    nothing = np.full(5000, np.nan)
    assert level(numbers(np.full(1000, np.nan), nothing)).level == 0
    filled = level(numbers(RNG(17).normal(size=1000), nothing))
    assert (filled.level, filled.statistic) == (2, "psi:nulls")
    blank = profile_categories([None] * 5000)
    signal = level(compare("x", blank, profile_like(blank, np.array(["a"] * 1000, dtype=object))))
    assert (signal.level, signal.statistic) == (2, "psi:nulls")


def test_infinities_are_outside_the_training_range() -> None:
    values = RNG(18).normal(size=2000)
    assert level(numbers(values, RNG(19).normal(size=5000))).level == 0
    values[:300], values[300:500] = np.inf, -np.inf
    signal = level(numbers(values, RNG(19).normal(size=5000)))
    assert signal.level == 2
    assert np.isfinite(signal.value or np.nan)


def test_many_columns_raise_no_more_false_alarms_than_one() -> None:
    """Holm's correction spans all columns of a window."""
    generator = RNG(20)
    settings = Monitoring(psi_warn=1e-12, psi_alert=1.0)
    before: dict[str, Profile] = {f"n{index}": profile_numbers(generator.normal(size=3000)) for index in range(60)}
    called = 0
    for _ in range(20):
        now = {name: profile_like(profile, generator.normal(size=400)) for name, profile in before.items()}
        called += any(signal.level for signal in judge(compare_all(before, now), settings))
    assert called == 0
