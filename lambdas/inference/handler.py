"""API Gateway → inference: predictions over HTTP."""

from __future__ import annotations

from driftless.entrypoint.inference import inference_handler

handler = inference_handler()
