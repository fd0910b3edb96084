"""Detectors of a whole distribution: Kolmogorov-Smirnov and Pearson's chi-squared tests."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from scipy.special import chdtrc, kolmogorov

from driftless.modelling.column_profile import CategoryProfile, NumberProfile
from driftless.monitoring.detectors.base import ColumnDetector, Comparison
from driftless.monitoring.detectors.stability import Counts, coarsen, excess_index

FEWEST_EXPECTED = 5.0
"""Smallest expected count of a cell for normal and chi-squared approximations (Cochran, 1954)."""


class KolmogorovSmirnov(ColumnDetector[NumberProfile]):
    """The two-sample test over the profile's bins, up to 257; the index uses about ten."""

    name = "ks"
    kinds: ClassVar = (NumberProfile,)

    def test(self, column: str, reference: NumberProfile, current: NumberProfile) -> Comparison | None:
        before, after = np.array(reference.counts, dtype=np.float64), np.array(current.counts, dtype=np.float64)
        n, m = before.sum(), after.sum()
        if n == 0 or m == 0:
            return None
        distance = float(np.abs(np.cumsum(before) / n - np.cumsum(after) / m).max())
        p = float(kolmogorov(math.sqrt(n * m / (n + m)) * distance))
        index = excess_index(*coarsen(before, after))
        mean = f"mean {_shown(reference.mean)} to {_shown(current.mean)}"
        return Comparison(column, self, distance, index, p, f"largest distance of distributions {distance:.3f}, {mean}")


class ChiSquared(ColumnDetector[CategoryProfile]):
    """Pearson's test of homogeneity over the categories of training and all others together.

    Rare categories are pooled.
    """

    name = "chi2"
    kinds: ClassVar = (CategoryProfile,)

    def test(self, column: str, reference: CategoryProfile, current: CategoryProfile) -> Comparison | None:
        before = np.array([*reference.counts.values(), reference.other], dtype=np.float64)
        after = np.array([*(current.counts.get(name, 0) for name in reference.counts), current.other], dtype=np.float64)
        if before.sum() == 0 or after.sum() == 0:
            return None
        before, after = _pool(before, after)
        statistic, p = _chi_squared(before, after)
        index = excess_index(before, after)
        return Comparison(column, self, statistic, index, p, f"shares of {len(before)} groups of categories")


def _pool(before: Counts, after: Counts) -> tuple[Counts, Counts]:
    """Pool categories too rare for the approximation.

    A pool that is still too rare joins the rarest of the other categories.
    """
    n, m = before.sum(), after.sum()
    expected = (before + after) * min(n, m) / (n + m)
    order = np.argsort(expected, kind="stable")
    pooled = int((expected < FEWEST_EXPECTED).sum())
    if 0 < pooled < len(order) and expected[order[:pooled]].sum() < FEWEST_EXPECTED:
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
