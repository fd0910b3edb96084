"""The tests that monitoring runs on a window of predictions, one class each.

``base`` defines what a detector is, ``registry`` lists all of them. ``shares`` and
``distributions`` test single columns, ``stability`` measures their effect size, ``harm`` tests the
primary metric.
"""

from driftless.monitoring.detectors.base import ColumnDetector, Comparison, Detector, OutcomeDetector
from driftless.monitoring.detectors.registry import DETECTORS

__all__ = ["DETECTORS", "ColumnDetector", "Comparison", "Detector", "OutcomeDetector"]
