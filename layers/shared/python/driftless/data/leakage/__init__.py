"""The leak check: does a feature carry what is only known later? Judged by evidence, never by a column's name.

Four witnesses. *Replay* hides the future and computes the features again: what changes has looked ahead. *Silence* asks whether a
value, null or a stand-in for it, marks the rows whose label was never observed. *Strength* asks whether one feature alone
predicts later labels implausibly well. *Copies* compares each feature with the outcome columns, unmoved by scale, shift or any
other monotone disguise. The first finding stops the run and names the column, the evidence and the fix.
"""

from __future__ import annotations

from typing import Any

from driftless.data.leakage.replay import replay
from driftless.data.leakage.statistics import copies, silence, strength
from driftless.definition.project import Project
from driftless.errors import LeakageFound


def check(connection: Any, project: Project) -> None:
    """Judge the features computed in an engine (tables ``features`` and ``labelled``, see :mod:`driftless.data.features`).

    Raises
    ------
    LeakageFound
        Naming the column, the evidence and the fix.
    """
    for witness in (replay, silence, strength, copies):
        finding = witness(connection, project)
        if finding is not None:
            raise LeakageFound(
                f"feature {finding.column!r} carries what is only known later: {finding.evidence}. Fix: {finding.fix}"
            )
