"""Ingest workflow → ingestion: commit one accepted file to its table."""

from __future__ import annotations

from driftless.entrypoint.common import stage_handler
from driftless.entrypoint.ingestion import compose
from driftless.records import IngestionRequest

handler = stage_handler(IngestionRequest, compose)
