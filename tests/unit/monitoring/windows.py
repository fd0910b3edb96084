"""Windows of predictions and labels whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from driftless.records import Signal
from tests.unit.monitoring.conftest import Monitored, binary, inputs

Build = Callable[..., Monitored]
COUNT = 1000
"""Predictions of a window."""


def filled(monitored: Monitored, *, shift: float = 0.0, wrong: float = 0.0, seed: int = 5, **where: Any) -> list[str]:
    """A window of a calibrated model; ``shift`` moves temperatures, ``wrong`` is the share of inverted labels."""
    generator = np.random.default_rng(seed)
    columns = inputs(generator, COUNT)
    columns["temp"] = [value + shift for value in columns["temp"]]
    chances = generator.beta(2, 5, COUNT)
    ids = monitored.predict(columns, binary(chances), **where)
    truth = (generator.random(COUNT) < chances) != (generator.random(COUNT) < wrong)
    monitored.label(ids, truth.tolist())
    return ids


def signal(signals: list[Signal], name: str) -> Signal:
    return next(item for item in signals if item.name == name)
