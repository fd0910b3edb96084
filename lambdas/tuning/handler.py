"""Train-and-deploy workflow → tuning: cross-validate one candidate."""

from __future__ import annotations

from driftless.entrypoint.common import step_handler
from driftless.entrypoint.tuning import compose
from driftless.records import TuningRequest

handler = step_handler(TuningRequest, compose)
