"""API Gateway → labels: ground truth for earlier predictions."""

from __future__ import annotations

from driftless.entrypoint.labels import labels_handler

handler = labels_handler()
