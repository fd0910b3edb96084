"""Ingest workflow → validation: judge one object of the landing bucket."""

from __future__ import annotations

from driftless.entrypoint.common import step_handler
from driftless.entrypoint.validation import compose
from driftless.records import ValidationRequest

handler = step_handler(ValidationRequest, compose)
