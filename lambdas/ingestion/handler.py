"""Ingest workflow → ingestion: commit one accepted file to its table."""

from __future__ import annotations

from driftless.entrypoint.common import step_handler
from driftless.entrypoint.ingestion import compose
from driftless.records import IngestionRequest

handler = step_handler(IngestionRequest, compose)
