"""Detectors of a share of rows: nulls, unseen categories, values other than the dominant one.

Each compares two proportions, two-sided: by the pooled z-test, or by Fisher's exact test where
fewer than five rows are expected in a cell. That happens in windows of any size: a column may be
null in all but a few rows.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import ndtr

from driftless.modelling.column_profile import CategoryProfile, NumberProfile
from driftless.monitoring.detectors.base import ColumnDetector, Comparison, P
from driftless.monitoring.detectors.distributions import FEWEST_EXPECTED
from driftless.monitoring.detectors.stability import excess_index


@dataclass(frozen=True)
class Share:
    """``hits`` of ``rows`` have a property."""

    hits: int
    rows: int

    @property
    def value(self) -> float:
        """The share, between 0 and 1."""
        return self.hits / self.rows


class ShareDetector(ColumnDetector[P]):
    """Compares the share of rows with one property, unless neither side has any such row."""

    def test(self, column: str, reference: P, current: P) -> Comparison | None:
        before, after = self.share(reference, reference), self.share(reference, current)
        if before.rows == 0 or after.rows == 0 or before.hits + after.hits == 0:
            return None
        z, p = compare_shares(before, after)
        index = excess_index(*(np.array([side.hits, side.rows - side.hits], dtype=np.float64) for side in (before, after)))
        detail = f"{before.value:.1%} to {after.value:.1%} {self.describe(reference)}"
        return Comparison(column, self, z, index, p, detail)

    @abstractmethod
    def share(self, reference: P, side: P) -> Share:
        """Share of rows with the property on one side; ``reference`` says what the property is."""

    @abstractmethod
    def describe(self, reference: P) -> str:
        """The property in words, as they follow a share."""


class Nulls(ShareDetector[NumberProfile | CategoryProfile]):
    """The share of nulls."""

    name = "nulls"
    kinds: ClassVar = (NumberProfile, CategoryProfile)

    def share(self, reference: NumberProfile | CategoryProfile, side: NumberProfile | CategoryProfile) -> Share:
        return Share(side.nulls, side.rows)

    def describe(self, reference: NumberProfile | CategoryProfile) -> str:
        return "null"


class UnseenCategories(ShareDetector[CategoryProfile]):
    """The share of categories that training never saw.

    Where training saw more categories than a profile counts one by one, ``other`` holds seen and
    unseen ones alike: not tested.
    """

    name = "unseen"
    kinds: ClassVar = (CategoryProfile,)

    def applies(self, reference: CategoryProfile) -> bool:
        return reference.other == 0

    def share(self, reference: CategoryProfile, side: CategoryProfile) -> Share:
        return Share(side.other, side.rows - side.nulls)

    def describe(self, reference: CategoryProfile) -> str:
        return "in categories unseen in training"


class DominantValue(ShareDetector[NumberProfile | CategoryProfile]):
    """The share of other values in a column that was constant, or nearly so, in training.

    Bins at quantiles cannot show a change of such a column.
    """

    name = "dominant"
    kinds: ClassVar = (NumberProfile, CategoryProfile)

    def applies(self, reference: NumberProfile | CategoryProfile) -> bool:
        return reference.near_constant and reference.dominant is not None

    def share(self, reference: NumberProfile | CategoryProfile, side: NumberProfile | CategoryProfile) -> Share:
        present = side.rows - side.nulls
        if isinstance(side, CategoryProfile):
            return Share(present - side.counts.get(str(reference.dominant), 0), present)
        place = int(np.searchsorted(np.array(side.edges), np.float64(reference.dominant), side="left"))
        return Share(present - side.counts[place], present)

    def describe(self, reference: NumberProfile | CategoryProfile) -> str:
        dominant = reference.dominant
        return f"other than {dominant if isinstance(dominant, str) else format(dominant, 'g')}"


def compare_shares(before: Share, after: Share) -> tuple[float, float]:
    """Statistic (z) and two-sided p-value of a difference of two proportions."""
    n, m = before.rows, after.rows
    pooled = (before.hits + after.hits) / (n + m)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    z = 0.0 if spread == 0 else abs(before.value - after.value) / spread
    if min(n, m) * min(pooled, 1 - pooled) >= FEWEST_EXPECTED:
        return z, float(2 * ndtr(-z))
    return z, _exact_p(before, after)


def _exact_p(before: Share, after: Share) -> float:
    """Two-sided p-value of Fisher's exact test: twice the smaller tail, at most 1 (Yates, 1984).

    The two-sided alternative of ``scipy.stats.fisher_exact`` sums the probabilities of all tables
    that are no likelier than the one observed. Where one side has few rows and the property is
    rare, the second tail has no such table, and that p-value is one-sided: half of this one. So
    scipy computes the tails, and the smaller one is doubled.
    """
    # Imported here because scipy.stats costs 0.5 s of processor time and 47 MB, which nearly
    # doubles a cold start, and only small counts need it.
    from scipy.stats import fisher_exact

    table = [[side.hits, side.rows - side.hits] for side in (after, before)]
    tails = (float(fisher_exact(table, alternative=alternative).pvalue) for alternative in ("less", "greater"))
    return min(1.0, 2 * min(tails))
