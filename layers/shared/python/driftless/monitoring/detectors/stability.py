"""Effect size of every column detector: the population stability index beyond chance.

Under no drift the index is distributed as chi-squared over sample size (Yurdakul, 2018), with mean
``(bins - 1) (1/n + 1/m)``: this much is subtracted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]
COARSE_BINS = 10


def stability_index(before: Counts, after: Counts) -> float:
    """Population stability index: the symmetric relative entropy of two histograms.

    An empty bin counts as half an observation, so that the index stays finite and a bin that only
    one side fills still weighs.
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
    """Merge neighbouring bins into about ``bins`` of equal share in ``before``.

    The stability index of a fine histogram is mostly noise.

    The outermost bins, which hold what lies beyond everything seen in training, stay apart.
    """
    inner = before[1:-1]
    if len(inner) <= bins:
        return before, after
    # A fine bin belongs to the group in which its middle lies.
    middle = (np.cumsum(inner) - inner / 2) / inner.sum()
    group = np.r_[0, np.minimum((middle * bins).astype(np.int64), bins - 1) + 1, bins + 1]
    merged = [np.bincount(group, side, minlength=bins + 2).astype(np.float64) for side in (before, after)]
    return merged[0], merged[1]
