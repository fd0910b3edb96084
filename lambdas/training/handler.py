"""Train-and-deploy workflow → training: fit the best candidate and export it."""

from __future__ import annotations

from driftless.entrypoint.common import step_handler
from driftless.entrypoint.training import compose
from driftless.records import TrainingRequest

handler = step_handler(TrainingRequest, compose)
