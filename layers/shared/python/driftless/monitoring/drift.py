"""Drift of columns: runs the column detectors and judges their comparisons together.

A column has drifted only when a test rejects "same distribution" after Holm's correction over all
tests of the window (Holm, 1979), *and* the effect size beyond chance reaches its threshold. So
neither a large nor a small sample raises an alarm by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftless.definition.operation import Monitoring
from driftless.definition.project import Project
from driftless.modelling.column_profile import HiddenProfile, Profile
from driftless.monitoring.champion import Champion
from driftless.monitoring.detectors import DETECTORS, ColumnDetector, Comparison, Detector
from driftless.monitoring.profiles import profile_features, profile_outputs
from driftless.monitoring.window import Window
from driftless.records import Signal


@dataclass(frozen=True)
class Drift:
    """Signals of drift, one for each column."""

    features: list[Signal]
    outputs: list[Signal]


def judge_drift(project: Project, champion: Champion, window: Window, detectors: Sequence[Detector]) -> Drift:
    """Judge a window's features and outputs.

    A window that is too small gets a single signal, which says so.
    """
    settings, baseline = project.monitoring, champion.baseline
    count, needed = len(window), settings.minimum_predictions
    if count < needed:
        reason = f"{count} predictions, fewer than the {needed} that drift is judged on"
        return Drift([], [Signal(name="drift", level=0, statistic="predictions", value=count, threshold=needed, reason=reason)])
    features = judge(compare_all(baseline.features, profile_features(baseline, window), detectors), settings)
    current = profile_outputs(project, champion.classes, baseline, window)
    outputs = judge(compare_all(baseline.outputs, current, detectors), settings, prefix="output.")
    # The baseline's outputs are those of rows the model was fitted on, so they warn at most.
    capped = [signal.model_copy(update={"level": min(signal.level, 1)}) for signal in outputs]
    return Drift(features, capped)


def compare(column: str, reference: Profile, current: Profile, detectors: Sequence[Detector] = DETECTORS) -> list[Comparison]:
    """Run all tests of one column; ``current`` was profiled over the reference's bins.

    There are none where either side is empty.
    """
    # Columns of personal data have no distribution to compare: the prediction log leaves them out.
    if isinstance(reference, HiddenProfile) or isinstance(current, HiddenProfile):
        return []
    tests = [
        detector.test(column, reference, current)
        for detector in detectors
        if isinstance(detector, ColumnDetector) and isinstance(reference, detector.kinds) and detector.applies(reference)
    ]
    return [found for found in tests if found is not None]


def compare_all(
    reference: Mapping[str, Profile], current: Mapping[str, Profile], detectors: Sequence[Detector] = DETECTORS
) -> list[Comparison]:
    """Tests of every column that both sides have."""
    return [
        found
        for column, profile in reference.items()
        if column in current
        for found in compare(column, profile, current[column], detectors)
    ]


def judge(comparisons: Sequence[Comparison], settings: Monitoring, *, prefix: str = "") -> list[Signal]:
    """One signal for each column: that of its worst test.

    P-values are corrected by Holm's method over all ``comparisons``.
    """
    adjusted = holm([found.p for found in comparisons])
    worst: dict[str, Signal] = {}
    for found, p in zip(comparisons, adjusted, strict=True):
        signal = _signal(found, p, settings, prefix)
        there = worst.get(found.column)
        if there is None or (signal.level, signal.value or 0.0) > (there.level, there.value or 0.0):
            worst[found.column] = signal
    return list(worst.values())


def _signal(found: Comparison, p: float, settings: Monitoring, prefix: str) -> Signal:
    level = found.detector.level(found, p, settings)
    moved = f"{found.detail}; stability index {found.index:.3f} beyond chance, corrected p {p:.2g}"
    return Signal(
        name=f"{prefix}{found.column}",
        level=level,
        statistic=f"psi:{found.test}",
        value=found.index,
        threshold=settings.psi_alert if level == 2 else settings.psi_warn,
        reason=moved if level else f"no drift: {moved}",
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
