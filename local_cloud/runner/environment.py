"""The environment variables of a function's process: Lambda's reserved ones and the function's own.

A function does not inherit the server's environment, so it cannot depend on the developer's shell. Two variables are not
in Lambda: the endpoint, with which SDKs find the embedded cloud, and a temporary folder in place of the private ``/tmp``
of each execution environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MEGABYTES_PER_VCPU = 1769

RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)


def threads(memory_mb: int) -> int:
    """Return the threads for numeric libraries: one per full vCPU that Lambda gives this memory, at least 1."""
    return max(1, min(os.cpu_count() or 1, memory_mb // _MEGABYTES_PER_VCPU))


def log_group(config: Mapping[str, Any]) -> str:
    """Return the log group of a function: the configured one, or the default by name."""
    logging_config = config.get("LoggingConfig") or {}
    return str(logging_config.get("LogGroup") or f"/aws/lambda/{config['FunctionName']}")


def build(
    config: Mapping[str, Any],
    *,
    credentials: Mapping[str, str],
    region: str,
    endpoint: str,
    runtime_api: str,
    log_stream: str,
    task_root: Path,
    runtime_dir: Path,
    temporary: Path,
) -> dict[str, str]:
    """Return all environment variables of one execution environment.

    As in AWS, a function may set any variable except the reserved ones. AWS's optional variables (time zone, locale,
    path) have Lambda's values unless the function sets them.
    """
    memory = int(config.get("MemorySize", 128))
    logging_config = config.get("LoggingConfig") or {}
    own = {
        str(key): str(value)
        for key, value in ((config.get("Environment") or {}).get("Variables") or {}).items()
        if key not in RESERVED
    }
    platform = {
        "AWS_ENDPOINT_URL": endpoint,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "TMPDIR": str(temporary),
        "OMP_NUM_THREADS": str(threads(memory)),
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_LAMBDA_LOG_FORMAT": str(logging_config.get("LogFormat") or "Text"),
    }
    if logging_config.get("LogFormat") == "JSON":
        platform["AWS_LAMBDA_LOG_LEVEL"] = str(logging_config.get("ApplicationLogLevel") or "INFO")
    reserved = {
        "_HANDLER": str(config["Handler"]),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config['Runtime']}",
        "AWS_LAMBDA_FUNCTION_NAME": str(config["FunctionName"]),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory),
        "AWS_LAMBDA_FUNCTION_VERSION": str(config.get("Version", "$LATEST")),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": log_group(config),
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "LAMBDA_TASK_ROOT": str(task_root),
        "LAMBDA_RUNTIME_DIR": str(runtime_dir),
        **{key: value for key, value in credentials.items() if value},
    }
    return {**platform, **own, **reserved}
