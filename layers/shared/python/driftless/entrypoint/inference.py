"""Composition of the inference function: verified ONNX models behind the public HTTP API, without boto3.

A client waits for a cold start, so this function leaves out the tracer (it imports botocore) and reads S3 through the
``obstore`` adapter. Prediction lines and metrics are written to standard output unchanged; all else is a structured log line.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aws_lambda_powertools import Logger

from driftless import __version__
from driftless.adapters.ecdsa import EcdsaVerifier
from driftless.adapters.obstore import ObstoreReader
from driftless.core.emf import emf_line
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Settings, read_settings
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
        predictors[name] = Predict(definition, champions=champions, prediction_log=prediction_log, clock=now)
    api = Api(predictors=predictors, new_request_id=lambda: str(uuid4()), version=__version__)
    return create_handler(api)


def now() -> datetime:
    """Timezone-aware now."""
    return datetime.now(UTC)


def write(text: str) -> None:
    """Write lines to the log group and flush: Lambda freezes the process once the response is returned."""
    sys.stdout.write(text)
    sys.stdout.flush()


def reporter(stage: str, code_version: str) -> Report:
    """Report an event as a log line, and as a metric of its name by project and by code version."""
    logger = Logger()

    def report(event: str, facts: dict[str, Any]) -> None:
        logger.error(event, extra=facts)
        for named in ({"Project": str(facts["project"])}, {"CodeVersion": code_version}):
            write(emf_line({event: (1, "Count")}, {"Stage": stage, **named}, now()) + "\n")

    return report
