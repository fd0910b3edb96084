"""Detector of harm: the primary metric of a window compared with the same metric at evaluation.

Harm is an alert only when the whole confidence interval lies beyond the margin, and a warning when
the estimate does. With too few days the interval cannot be trusted, and harm is a warning at most.
"""

from __future__ import annotations

import math

from driftless.definition.learning import HIGHER_IS_BETTER
from driftless.modelling.intervals import MINIMUM_BLOCKS, Interval
from driftless.monitoring.detectors.base import OutcomeDetector
from driftless.monitoring.performance import Performance
from driftless.records import Level, Signal


class PrimaryMetric(OutcomeDetector):
    """Judges the confidence interval of the project's primary metric."""

    name = "harm"

    def test(self, performance: Performance) -> Signal:
        metric, settings = performance.primary, performance.settings
        if performance.outcomes is None:
            few = f"{performance.rows} labels, fewer than the {settings.minimum_labels} that harm is judged on"
            return self._undecided(metric, few)
        if performance.interval is None:
            return self._undecided(metric, f"{metric} is undefined in the window or at evaluation")
        return harm_signal(metric, performance.interval, performance.reference[metric], settings.harm_margin)

    def _undecided(self, metric: str, reason: str) -> Signal:
        return Signal(name=self.name, level=0, statistic=metric, value=None, threshold=None, reason=reason)


def harm_signal(metric: str, interval: Interval, expected: float, margin: float) -> Signal:
    """Judge a metric's interval.

    Level 2 when all of the interval is worse by more than the margin, 1 when the estimate is,
    else 0.
    """
    higher = metric in HIGHER_IS_BETTER
    worse = expected - interval.estimate if higher else interval.estimate - expected
    surely = expected - interval.high if higher else interval.low - expected
    shown = f"{metric} {interval.estimate:.4g} ({interval.low:.4g} to {interval.high:.4g}) against {expected:.4g} at evaluation"
    level: Level
    if worse <= margin:
        level, reason = 0, f"{shown}: not worse by more than {margin:g}"
    elif interval.blocks < MINIMUM_BLOCKS:
        level, reason = 1, f"{shown}: worse, but {interval.blocks} days are too few to be sure ({MINIMUM_BLOCKS} needed)"
    elif math.isfinite(surely) and surely > margin:
        level, reason = 2, f"{shown}: worse by more than {margin:g} beyond doubt"
    else:
        level, reason = 1, f"{shown}: worse by more than {margin:g}, but not beyond doubt"
    return Signal(name=PrimaryMetric.name, level=level, statistic=metric, value=worse, threshold=margin, reason=reason)
