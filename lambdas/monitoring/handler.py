"""State machine monitor → monitoring: judge one window of a project's predictions."""

from __future__ import annotations

from driftless.entrypoint.common import step_handler
from driftless.entrypoint.monitoring import compose
from driftless.records import MonitoringRequest

handler = step_handler(MonitoringRequest, compose)
