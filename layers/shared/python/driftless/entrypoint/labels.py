"""Composition of the labels function: an API Gateway (REST) event in, 202 or problem+json out."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from driftless.adapters.aws import client
from driftless.adapters.s3 import S3Store
from driftless.core.problem import MEDIA_TYPE, FieldError, InvalidRequest, Problem
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Handler, Settings, instrument, read_settings
from driftless.errors import RetryableError
from driftless.serving.labels import AcceptLabels

_RETRY_AFTER = 5


class LabelsSettings(Settings):
    """Environment of the function."""

    lake_bucket: str


def compose() -> AcceptLabels:
    """The stage over the lake bucket."""
    settings = read_settings(LabelsSettings)
    return AcceptLabels(
        lake=S3Store(settings.lake_bucket, client=client("s3")),
        projects=load_all(),
        clock=lambda: datetime.now(UTC),
        new_id=lambda: str(uuid4()),
    )


def labels_handler() -> Handler:
    """The function's handler; the stage is composed at the first event."""
    accept: list[AcceptLabels] = []

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        if not accept:
            accept.append(compose())
        return respond(accept[0], event)

    return instrument(handler)


def respond(accept: AcceptLabels, event: dict[str, Any]) -> dict[str, Any]:
    """Answer one REST API event of ``POST /{project}/labels``."""
    try:
        count = accept(_project(event), _body(event))
    except InvalidRequest as error:
        return _problem(error.problem)
    except RetryableError:
        return _problem(Problem(503, "the labels could not be kept; nothing was", retry_after=_RETRY_AFTER))
    return {"statusCode": 202, "headers": {"Content-Type": "application/json"}, "body": json.dumps({"accepted": count})}


def _project(event: dict[str, Any]) -> str:
    named = (event.get("pathParameters") or {}).get("project")
    return str(named) if named else str(event.get("path", "")).strip("/").split("/")[0]


def _body(event: dict[str, Any]) -> bytes:
    body = event.get("body") or ""
    try:
        return base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        reason = FieldError("", f"the body cannot be decoded: {error}")
        raise InvalidRequest(Problem(400, "the body is not valid JSON", (reason,))) from error


def _problem(problem: Problem) -> dict[str, Any]:
    headers = {"Content-Type": MEDIA_TYPE, **problem.headers()}
    return {"statusCode": problem.status, "headers": headers, "body": problem.body().decode("ascii")}
