"""The leak check: does a feature contain what is only known later? Judged by evidence, never by a column's name.

There are four tests. *Replay* hides later rows and computes the features again: a feature that changes has read them.
*Silence* looks for a value, null or a stand-in for it, that marks the rows whose label was never observed. *Strength* looks for
one feature that alone predicts later labels implausibly well. *Copies* compares each feature with the outcome columns, whatever
their scale, shift or other monotone change. The first finding stops the run and names the column, the evidence and the fix.
"""

from __future__ import annotations

from driftless.data.leakage.checks import check

__all__ = ["check"]
