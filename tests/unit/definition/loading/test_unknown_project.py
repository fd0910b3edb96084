"""Every step raises the same error for a project that is not deployed."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from driftless.data.dataset import Transform
from driftless.data.ingestion import Ingest
from driftless.errors import NotFound
from driftless.evaluation.step import Evaluate
from driftless.monitoring.governor import Govern
from driftless.monitoring.step import Monitor
from driftless.registry.registration import Register
from driftless.registry.rollout import Deploy
from driftless.training.fit import Train
from driftless.training.tuning import Tune

STEPS: list[Any] = [Ingest, Transform, Tune, Train, Evaluate, Register, Deploy, Monitor, Govern]


@pytest.mark.parametrize("step", STEPS)
def test_every_step_names_the_unknown_project_and_the_known_ones(step: Any) -> None:
    ports = dict.fromkeys(inspect.signature(step).parameters)
    request: Any = SimpleNamespace(
        project="bakery",
        run=SimpleNamespace(project="bakery", run_id="r1"),
        version=SimpleNamespace(version=1),
        validation=SimpleNamespace(project="bakery", status="accepted", staged="file"),
        event_id="e1",
    )
    with pytest.raises(NotFound, match="no project 'bakery'; known: flights, shop"):
        step(**{**ports, "projects": {"shop": None, "flights": None}})(request)
