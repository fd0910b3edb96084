"""The leak check: every test in turn, the first finding stops the run."""

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
    for test in (replay, silence, strength, copies):
        finding = test(connection, project)
        if finding is not None:
            raise LeakageFound(
                f"feature {finding.column!r} carries what is only known later: {finding.evidence}. Fix: {finding.fix}"
            )
