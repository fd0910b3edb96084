"""Train-and-deploy workflow → scoring: serving's own code over the hold-out."""

from __future__ import annotations

from driftless.entrypoint.common import step_handler
from driftless.entrypoint.scoring import compose
from driftless.records import ScoringRequest

handler = step_handler(ScoringRequest, compose)
