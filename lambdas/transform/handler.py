"""Train-and-deploy workflow → transform: freeze a project's tables into a training set."""

from __future__ import annotations

from driftless.entrypoint.common import step_handler
from driftless.entrypoint.transform import compose
from driftless.records import TransformRequest

handler = step_handler(TransformRequest, compose)
