"""Did a column move? Effect size and significance together, so that neither many rows nor few can raise an alarm alone.

A column is compared with its training profile, bin by bin. It counts as drifted only when a test rejects "nothing moved" after
Holm's correction over all tests of the window (Holm, 1979), *and* the population stability index exceeds its threshold by more
than it would by chance. Under no drift the index is distributed as chi-squared over sample size (Yurdakul, 2018), with mean
``(bins - 1) (1/n + 1/m)``: this much is taken off first.

Tests: Kolmogorov-Smirnov over up to 257 bins for numbers, Pearson's chi-squared for categories, and a difference of proportions
for nulls, for unseen categories, and for the dominant value of a column that was constant or nearly so in training, where
quantile bins see nothing at all. However large a window is, a column may be null but for a few rows of it: counts that are too
small for the normal approximation get Fisher's exact test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, gammaln, kolmogorov, ndtr

from driftless.definition.operation import Monitoring
from driftless.modelling.column_profile import CategoryProfile, HiddenProfile, NumberProfile, Profile
from driftless.records import Signal

Counts = NDArray[np.float64]
COARSE_BINS = 10
_FEWEST_EXPECTED = 5.0


@dataclass(frozen=True)
class Comparison:
    """One test of one column: ``index`` is the stability index beyond chance, ``p`` the test's p-value."""

    column: str
    test: str
    statistic: float
    index: float
    p: float
    detail: str


def compare(column: str, reference: Profile, current: Profile) -> list[Comparison]:
    """All tests of one column; ``current`` was profiled over the reference's bins. None where either side is empty."""
    found = _shares(column, "nulls", (reference.nulls, reference.rows), (current.nulls, current.rows), "null")
    if isinstance(reference, NumberProfile) and isinstance(current, NumberProfile):
        return found + _numbers(column, reference, current)
    if isinstance(reference, CategoryProfile) and isinstance(current, CategoryProfile):
        return found + _categories(column, reference, current)
    return found


def judge(comparisons: Sequence[Comparison], settings: Monitoring, *, prefix: str = "") -> list[Signal]:
    """One signal for each column: the worst of its tests.

    Level 2 from ``psi_alert``, 1 from ``psi_warn``, both only for tests that stay significant after Holm's correction over
    all ``comparisons``.
    """
    adjusted = holm([item.p for item in comparisons])
    worst: dict[str, Signal] = {}
    for item, p in zip(comparisons, adjusted, strict=True):
        signal = _signal(item, p, settings, prefix)
        there = worst.get(item.column)
        if there is None or (signal.level, signal.value or 0.0) > (there.level, there.value or 0.0):
            worst[item.column] = signal
    return list(worst.values())


def _signal(item: Comparison, p: float, settings: Monitoring, prefix: str) -> Signal:
    significant = p <= settings.significance
    moved = f"{item.detail}; stability index {item.index:.3f} beyond chance, corrected p {p:.2g}"
    name, statistic = f"{prefix}{item.column}", f"psi:{item.test}"
    if significant and item.index >= settings.psi_alert:
        return Signal(name=name, level=2, statistic=statistic, value=item.index, threshold=settings.psi_alert, reason=moved)
    level: int = 1 if significant and item.index >= settings.psi_warn else 0
    reason = moved if level else f"no drift: {moved}"
    return Signal.model_validate(
        {
            "name": name,
            "level": level,
            "statistic": statistic,
            "value": item.index,
            "threshold": settings.psi_warn,
            "reason": reason,
        }
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def _numbers(column: str, reference: NumberProfile, current: NumberProfile) -> list[Comparison]:
    before, after = np.array(reference.counts, dtype=np.float64), np.array(current.counts, dtype=np.float64)
    n, m = before.sum(), after.sum()
    if n == 0 or m == 0:
        return []
    distance = float(np.abs(np.cumsum(before) / n - np.cumsum(after) / m).max())
    p = float(kolmogorov(math.sqrt(n * m / (n + m)) * distance))
    coarse_before, coarse_after = coarsen(before, after)
    index = excess_index(coarse_before, coarse_after)
    mean = f"mean {_shown(reference.mean)} to {_shown(current.mean)}"
    found = [Comparison(column, "ks", distance, index, p, f"largest distance of distributions {distance:.3f}, {mean}")]
    if reference.near_constant and reference.dominant is not None:
        bin_of = int(np.searchsorted(np.array(reference.edges), reference.dominant, side="left"))
        kept = (int(n - before[bin_of]), int(n)), (int(m - after[bin_of]), int(m))
        found += _shares(column, "dominant", *kept, f"other than {reference.dominant:g}")
    return found


def _categories(column: str, reference: CategoryProfile, current: CategoryProfile) -> list[Comparison]:
    names = list(reference.counts)
    before = np.array([*(reference.counts[name] for name in names), reference.other], dtype=np.float64)
    after = np.array([*(current.counts.get(name, 0) for name in names), current.other], dtype=np.float64)
    n, m = before.sum(), after.sum()
    if n == 0 or m == 0:
        return []
    pooled_before, pooled_after = _pool(before, after)
    statistic, p = _chi_squared(pooled_before, pooled_after)
    index = excess_index(pooled_before, pooled_after)
    found = [Comparison(column, "chi2", statistic, index, p, f"shares of {len(pooled_before)} groups of categories")]
    if reference.other == 0:
        found += _shares(column, "unseen", (0, int(n)), (current.other, int(m)), "in categories unseen in training")
    if reference.near_constant and reference.dominant is not None:
        place = names.index(reference.dominant)
        kept = (int(n - before[place]), int(n)), (int(m - after[place]), int(m))
        found += _shares(column, "dominant", *kept, f"other than {reference.dominant}")
    return found


def _shares(column: str, test: str, before: tuple[int, int], after: tuple[int, int], what: str) -> list[Comparison]:
    """Difference of two proportions, two-sided; no test where neither side has any.

    By the pooled z-test, or by Fisher's exact one where fewer than five are expected in a cell.
    """
    (hits, n), (again, m) = before, after
    if n == 0 or m == 0 or hits + again == 0:
        return []
    both = hits + again
    pooled = both / (n + m)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    z = 0.0 if spread == 0 else abs(hits / n - again / m) / spread
    fewest = min(n, m) * min(pooled, 1 - pooled)
    p = float(2 * ndtr(-z)) if fewest >= _FEWEST_EXPECTED else _fisher(again, both, m, n + m)
    index = excess_index(np.array([hits, n - hits], dtype=np.float64), np.array([again, m - again], dtype=np.float64))
    return [Comparison(column, test, z, index, p, f"{hits / n:.1%} to {again / m:.1%} {what}")]


def _fisher(found: int, marked: int, drawn: int, total: int) -> float:
    """Fisher's exact test (1935): ``found`` of ``drawn`` are marked where ``marked`` of ``total`` are; twice the smaller tail."""
    counts = np.arange(max(0, drawn + marked - total), min(drawn, marked) + 1, dtype=np.float64)
    chances = np.exp(
        _log_choose(marked, counts) + _log_choose(total - marked, drawn - counts) - _log_choose(total, np.array([float(drawn)]))
    )
    tail = min(chances[counts >= found].sum(), chances[counts <= found].sum())
    return min(1.0, 2 * float(tail))


def _log_choose(total: int, drawn: Counts) -> Counts:
    """Logarithm of the number of ways to draw so many of ``total``."""
    return np.asarray(gammaln(total + 1) - gammaln(drawn + 1) - gammaln(total - drawn + 1))


def stability_index(before: Counts, after: Counts) -> float:
    """Population stability index: the symmetric relative entropy of two histograms.

    An empty bin counts as half an observation, so that the index stays finite and a bin that only one side fills still weighs.
    """
    p = np.maximum(before, 0.5) / before.sum()
    q = np.maximum(after, 0.5) / after.sum()
    used = (before > 0) | (after > 0)
    return float(((q - p) * np.log(q / p))[used].sum())


def excess_index(before: Counts, after: Counts) -> float:
    """Stability index beyond its mean under no drift, never negative."""
    bins = int(((before > 0) | (after > 0)).sum())
    chance = (bins - 1) * (1 / before.sum() + 1 / after.sum())
    return max(0.0, stability_index(before, after) - float(chance))


def coarsen(before: Counts, after: Counts, bins: int = COARSE_BINS) -> tuple[Counts, Counts]:
    """Merge neighbouring bins into about ``bins`` of equal share in ``before``: a fine histogram's index is mostly noise.

    What lies beyond everything seen in training (the outermost bins) stays apart.
    """
    inner = before[1:-1]
    if len(inner) <= bins:
        return before, after
    # A fine bin belongs to the group in which its middle lies.
    middle = (np.cumsum(inner) - inner / 2) / inner.sum()
    group = np.r_[0, np.minimum((middle * bins).astype(np.int64), bins - 1) + 1, bins + 1]
    merged = [np.bincount(group, side, minlength=bins + 2).astype(np.float64) for side in (before, after)]
    return merged[0], merged[1]


def _pool(before: Counts, after: Counts) -> tuple[Counts, Counts]:
    """Pool categories too rare for Pearson's approximation (Cochran, 1954); a pool still too rare joins the rarest other one."""
    n, m = before.sum(), after.sum()
    expected = (before + after) * min(n, m) / (n + m)
    order = np.argsort(expected, kind="stable")
    pooled = int((expected < _FEWEST_EXPECTED).sum())
    if 0 < pooled < len(order) and expected[order[:pooled]].sum() < _FEWEST_EXPECTED:
        pooled += 1
    rare, kept = order[:pooled], np.sort(order[pooled:])
    groups = [np.r_[side[kept], side[rare].sum()] if pooled else side for side in (before, after)]
    return groups[0], groups[1]


def _chi_squared(before: Counts, after: Counts) -> tuple[float, float]:
    """Pearson's test of homogeneity of two histograms: statistic and p-value."""
    both = before + after
    before, after, both = before[both > 0], after[both > 0], both[both > 0]
    if len(both) < 2:
        return 0.0, 1.0
    n, m = before.sum(), after.sum()
    statistic = float(((math.sqrt(m / n) * before - math.sqrt(n / m) * after) ** 2 / both).sum())
    return statistic, float(chdtrc(len(both) - 1, statistic))


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def compare_all(reference: Mapping[str, Profile], current: Mapping[str, Profile]) -> list[Comparison]:
    """Tests of every column that both sides have, besides those of personal data, which the journal leaves out."""
    return [
        item
        for column, profile in reference.items()
        if column in current and not isinstance(profile, HiddenProfile)
        for item in compare(column, profile, current[column])
    ]
