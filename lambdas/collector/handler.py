"""Log subscription → collector: prediction lines become Parquet in the lake."""

from __future__ import annotations

from driftless.collect import CollectRequest
from driftless.entrypoint.collector import compose
from driftless.entrypoint.common import stage_handler

handler = stage_handler(CollectRequest, compose)
