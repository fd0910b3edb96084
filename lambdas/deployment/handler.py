"""Train-and-deploy workflow → deployment: take the next step of a rollout, or take it back."""

from __future__ import annotations

from driftless.entrypoint.common import step_handler
from driftless.entrypoint.deployment import compose
from driftless.records import DeploymentRequest

handler = step_handler(DeploymentRequest, compose)
