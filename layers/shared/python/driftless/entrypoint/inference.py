"""Composition of the inference function: verified ONNX models behind the public HTTP API, without boto3.

A client waits for a cold start, so this function leaves out the tracer (it imports botocore) and reads S3 through the
``obstore`` adapter. Prediction lines and metrics are written to standard output unchanged; all else is a structured log line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from aws_lambda_powertools import Logger

from driftless import __version__
from driftless.adapters.ecdsa import EcdsaVerifier
from driftless.adapters.obstore import ObstoreReader
from driftless.core.clock import utc_now
from driftless.core.emf import emit, write
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Handler, Settings, composing, read_settings
from driftless.serving.inference.app import Api, create_handler
from driftless.serving.inference.champions import Champions, Report
from driftless.serving.inference.predict import Predict
from driftless.serving.inference.prediction_log import PredictionLog


class InferenceSettings(Settings):
    """Environment of the function."""

    stage: str
    artifacts_bucket: str
    aws_lambda_function_version: str = "$LATEST"


def compose() -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """The function's handler of API Gateway (REST) events."""
    settings = read_settings(InferenceSettings)
    store, verifier = ObstoreReader(settings.artifacts_bucket), EcdsaVerifier()
    report = reporter(settings.stage, settings.aws_lambda_function_version)
    predictors = {}
    for name, definition in load_all().items():
        champions = Champions(definition, store=store, verifier=verifier, monotonic=time.monotonic, report=report)
        prediction_log = PredictionLog(definition, stage=settings.stage, write=write)
        predictors[name] = Predict(definition, champions=champions, prediction_log=prediction_log, clock=utc_now)
    api = Api(predictors=predictors, new_request_id=lambda: str(uuid4()), version=__version__)
    return create_handler(api)


def reporter(stage: str, code_version: str) -> Report:
    """Report an event as a log line, and as a metric of its name by project and by code version."""
    logger = Logger()

    def report(event: str, facts: dict[str, Any]) -> None:
        logger.error(event, extra=facts)
        for named in ({"Project": str(facts["project"])}, {"CodeVersion": code_version}):
            emit({event: (1, "Count")}, {"Stage": stage, **named})

    return report


def inference_handler() -> Handler:
    """The function's handler; the application is composed at the first event."""
    return composing(compose)
