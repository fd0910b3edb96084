"""Composition of the labels function: labels from the HTTP API to the lake."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

from driftless.adapters.aws import client
from driftless.adapters.s3 import S3Store
from driftless.core.clock import utc_now
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Handler, Settings, composing, instrument, read_settings
from driftless.serving.http import RestApiHandler, asgi, rest_api_handler
from driftless.serving.labels import AcceptLabels, respond


class LabelsSettings(Settings):
    """Environment of the function."""

    lake_bucket: str


def compose() -> RestApiHandler:
    """The handler of REST API events, with the lake bucket as its store."""
    settings = read_settings(LabelsSettings)
    accept = AcceptLabels(
        lake=S3Store(settings.lake_bucket, client=client("s3")),
        projects=load_all(),
        clock=utc_now,
        new_id=lambda: str(uuid4()),
    )
    return rest_api_handler(asgi(partial(respond, accept)), lambda: str(uuid4()))


def labels_handler() -> Handler:
    """The function's handler; it is composed at the first event and kept while the process lives."""
    return instrument(composing(compose))
