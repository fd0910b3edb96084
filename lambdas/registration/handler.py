"""Train-and-deploy workflow → registration: freeze, sign and register a model version."""

from __future__ import annotations

from driftless.entrypoint.common import step_handler
from driftless.entrypoint.registration import compose
from driftless.records import RegistrationRequest

handler = step_handler(RegistrationRequest, compose)
