"""Train-and-deploy workflow → evaluation: may the challenger become champion?"""

from __future__ import annotations

from driftless.entrypoint.common import step_handler
from driftless.entrypoint.evaluation import compose
from driftless.records import EvaluationRequest

handler = step_handler(EvaluationRequest, compose)
