"""What a detector is: one test for drift of a column, or for harm of the champion's predictions.

A detector is a class with a name, a condition under which it applies, a test and a level. It holds
no state between windows. Column detectors return comparisons, so that all comparisons of a window
share one correction for multiple tests; outcome detectors return a signal each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from driftless.definition.operation import Monitoring
from driftless.modelling.column_profile import CategoryProfile, NumberProfile
from driftless.monitoring.performance import Performance
from driftless.records import Level, Signal

P = TypeVar("P", bound=NumberProfile | CategoryProfile)


@dataclass(frozen=True)
class Comparison:
    """Result of one column detector on one column.

    Attributes
    ----------
    statistic : float
        The test's own statistic.
    index : float
        Effect size: the population stability index beyond chance.
    p : float
        The test's p-value, before any correction for multiple tests.
    detail : str
        What changed, in words.
    """

    column: str
    detector: ColumnDetector[Any]
    statistic: float
    index: float
    p: float
    detail: str

    @property
    def test(self) -> str:
        """Name of the detector."""
        return self.detector.name


class ColumnDetector(ABC, Generic[P]):
    """Tests whether a feature or an output of the model is distributed as in training.

    Attributes
    ----------
    name : str
        Unique among the registered detectors; part of a signal's ``statistic``.
    kinds : tuple of profile types
        Kinds of columns that it can test.
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[type[NumberProfile | CategoryProfile], ...]]

    def applies(self, reference: P) -> bool:
        """Whether to test a column with this training profile; True by default."""
        return True

    @abstractmethod
    def test(self, column: str, reference: P, current: P) -> Comparison | None:
        """Compare profiles over the same bins; None where there is nothing to compare."""

    def level(self, found: Comparison, p: float, settings: Monitoring) -> Level:
        """Level of one comparison, whose p-value is ``p`` after correction.

        2 from ``psi_alert``, 1 from ``psi_warn``, both only where ``p`` is significant.
        """
        if p > settings.significance or found.index < settings.psi_warn:
            return 0
        return 2 if found.index >= settings.psi_alert else 1


class OutcomeDetector(ABC):
    """Tests whether the champion predicts worse on a window's labelled rows than at evaluation.

    Attributes
    ----------
    name : str
        Unique among the registered detectors; the name of its signal.
    """

    name: ClassVar[str]

    @abstractmethod
    def test(self, performance: Performance) -> Signal:
        """The signal of one window; level 0 with a reason where the window allows no judgement."""


Detector = ColumnDetector[Any] | OutcomeDetector
