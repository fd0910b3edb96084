"""Train-and-deploy workflow → evaluation: may the challenger become champion?"""

from __future__ import annotations

from driftless.entrypoint.common import stage_handler
from driftless.entrypoint.evaluation import compose
from driftless.records import EvaluationRequest

handler = stage_handler(EvaluationRequest, compose)
