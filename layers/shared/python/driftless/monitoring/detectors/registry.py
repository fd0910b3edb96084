"""Every detector, in the order in which a window is tested.

To add one, write its class in a module of this package and name it here. Where two tests of a
column find the same level and effect size, the column's signal shows the earlier one.
"""

from __future__ import annotations

from driftless.monitoring.detectors.base import Detector
from driftless.monitoring.detectors.distributions import ChiSquared, KolmogorovSmirnov
from driftless.monitoring.detectors.harm import PrimaryMetric
from driftless.monitoring.detectors.shares import DominantValue, Nulls, UnseenCategories

DETECTORS: tuple[Detector, ...] = (
    Nulls(),
    KolmogorovSmirnov(),
    ChiSquared(),
    UnseenCategories(),
    DominantValue(),
    PrimaryMetric(),
)
