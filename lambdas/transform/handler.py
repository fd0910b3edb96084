"""Train-and-deploy workflow → transform: freeze a project's tables into a training set."""

from __future__ import annotations

from driftless.entrypoint.common import stage_handler
from driftless.entrypoint.transform import compose
from driftless.records import TransformRequest

handler = stage_handler(TransformRequest, compose)
