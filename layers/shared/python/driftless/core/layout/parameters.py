"""SSM parameters: how the command line and people find the parts of a deployed stage."""

from __future__ import annotations

COMMIT = "commit"
PROJECTS = "projects"
API_URL = "api/url"
SIGNING_KEY = "keys/signing"
NOTIFICATIONS = "topics/notifications"
REGISTRY_TABLE = "tables/registry"
INFERENCE_LOG = "logs/inference"
FUNCTIONS = "functions/"


def parameters_prefix(stage: str) -> str:
    """Prefix of everything that a deployed stage publishes."""
    return f"/driftless/{stage}/"


def parameter_name(stage: str, name: str) -> str:
    """Full name of one SSM parameter of a stage."""
    return f"{parameters_prefix(stage)}{name}"


def bucket_parameter(bucket: str) -> str:
    """Name of the ``landing``, ``lake`` or ``artifacts`` bucket."""
    return f"buckets/{bucket}"


def function_parameter(folder: str) -> str:
    """ARN of a function's live alias, by its folder in ``lambdas/``."""
    return f"{FUNCTIONS}{folder}"


def machine_parameter(machine: str) -> str:
    """ARN of a state machine, by its file in ``step_functions/``."""
    return f"machines/{machine}"


def queue_parameter(queue: str) -> str:
    """URL of a dead-letter or retry queue."""
    return f"queues/{queue}"
