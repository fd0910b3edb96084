"""Replace MiniStack's execution of Python functions, for invocations from every service.

Lambda's API, Step Functions, EventBridge, API Gateway and event source mappings all call one private function of
MiniStack's Lambda service, which is replaced here. Its argument is the function's record with code, layers and
configuration; its result has the response, the error flag and the log text for ``LogType=Tail``.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import psutil

from local_cloud import emulator
from local_cloud.runner import environment, report
from local_cloud.runner.packages import PackageStore
from local_cloud.runner.pool import Key, Pool
from local_cloud.runner.runtime_api import Invocation
from local_cloud.runner.sandbox import Code, Sandbox

REQUEST_LIMIT = 6 * 1024 * 1024  # bytes of a synchronous invocation's event
_IDLE_LIMIT = 300.0  # seconds
_CONFIGURATION = ("Runtime", "Handler", "Timeout", "MemorySize", "Environment", "Layers", "CodeSha256", "LoggingConfig")
_LOG_SOURCE = "driftless"


class Runner:
    """Run invocations in pooled execution environments.

    Parameters
    ----------
    packages : Path
        The folder where code and layers are unpacked.
    endpoint : str
        The embedded cloud's URL, which every function gets.
    """

    def __init__(self, packages: Path, endpoint: str) -> None:
        self._store = PackageStore(packages)
        self._packages_of_runtime = self._store.runtime()  # once, because it takes longer than a cold start
        self._endpoint = endpoint
        self._pool = Pool(_IDLE_LIMIT)
        self._lambda = emulator.module("services.lambda_svc")
        self._runtime = emulator.module("core.lambda_runtime")

    def run(self, record: Mapping[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        """Run one invocation and return the result in MiniStack's form."""
        config: Mapping[str, Any] = record["config"]
        payload = json.dumps(event, ensure_ascii=False).encode()
        account, region = self._runtime._account_region_from_function_config(config)
        key: Key = (f"{account}:{region}:{config['FunctionName']}", str(config.get("Version", "$LATEST")))
        fingerprint = _fingerprint(config)
        invocation = Invocation(
            request_id,
            payload,
            deadline_ms=0,
            function_arn=config["FunctionArn"],
            trace_id=self._lambda._xray_trace_id_for_invocation(config),
        )
        sandbox = self._pool.acquire(key, fingerprint, lambda: Sandbox(config, lambda: self._code(record, region)))
        try:
            began_ms = int(time.time() * 1000)
            outcome = sandbox.invoke(invocation)
        finally:
            self._pool.release(key, fingerprint, sandbox)
        events = report.compose(config, sandbox, outcome, request_id, began_ms)
        report.write(config, sandbox.log_stream, events)
        result: dict[str, Any] = {
            "body": json.loads(outcome.response),
            "log": "".join(event.message + "\n" for event in events),
            "log_source": _LOG_SOURCE,
        }
        return {**result, "error": True, "function_error": "Unhandled"} if outcome.failed else result

    def retire(self, name: str, qualifier: str | None) -> None:
        """Close the environments of a function, or of one of its versions, after their current event."""
        self._pool.retire(lambda key: key[0].endswith(f":{name}") and qualifier in (None, key[1]))

    def prune(self, archives: Collection[str]) -> None:
        """Close environments of deleted versions; remove unpacked code except these digests and what a process uses."""
        self._pool.retire(lambda key: not self._exists(*key))
        self._store.prune(archives, psutil.Process().children())

    def _exists(self, function: str, version: str) -> bool:
        record = self._lambda._functions.get_scoped(*function.split(":"))
        return record is not None and (version == "$LATEST" or version in record.get("versions", {}))

    def close(self) -> None:
        """Kill every function process."""
        self._pool.close()

    def _code(self, record: Mapping[str, Any], region: str) -> Code:
        config = record["config"]
        archive: bytes = record["code_zip"]
        layers = []
        for layer in config.get("Layers") or []:
            content = self._lambda._resolve_layer_zip(layer)
            if content:
                layers.append((self._store.digest(layer["Arn"], content), content))
        task_root = self._store.unpacked(self._store.digest(config["FunctionArn"], archive), archive)
        credentials = self._runtime.execution_credentials(config)

        def compose(runtime_api: str, log_stream: str, temporary: Path) -> dict[str, str]:
            return environment.build(
                config,
                credentials=credentials,
                region=region,
                endpoint=self._endpoint,
                runtime_api=runtime_api,
                log_stream=log_stream,
                task_root=task_root,
                runtime_dir=self._packages_of_runtime,
                temporary=temporary,
            )

        return Code(task_root, self._store.merged(layers), self._packages_of_runtime, compose)


def install(packages: Path, endpoint: str) -> Runner:
    """Replace MiniStack's runner and return the new one."""
    runner = Runner(packages, endpoint)
    service = emulator.module("services.lambda_svc")
    for name in ("_resolve_layer_zip", "_xray_trace_id_for_invocation"):
        emulator.original(service, name)
    for name in ("_account_region_from_function_config", "execution_credentials"):
        emulator.original(emulator.module("core.lambda_runtime"), name)
    for name in ("_log_groups", "_make_group_arn", "_append_log_events", "_fanout_to_subscription_filters"):
        emulator.original(emulator.module("services.cloudwatch_logs"), name)
    other_runtimes = emulator.original(service, "_execute_function_warm")
    write_logs = emulator.original(service, "_emit_lambda_logs")
    invalidate = emulator.original(service, "invalidate_worker")
    invoke = emulator.original(service, "_invoke")

    def execute(record: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        config = record.get("config") or {}
        if record.get("code_zip") and str(config.get("Runtime", "")).startswith("python"):
            return runner.run(record, event, request_id)
        result: dict[str, Any] = other_runtimes(record, event, request_id)
        return result

    def emit_logs(*arguments: Any, log_source: str | None = None) -> None:
        if log_source != _LOG_SOURCE:  # the runner has written its own lines
            write_logs(*arguments, log_source=log_source)

    def invalidate_workers(name: str, qualifier: str | None = None, **scope: Any) -> None:
        runner.retire(name, qualifier)
        invalidate(name, qualifier, **scope)

    async def invoke_within_limit(name: str, event: Any, headers: dict[str, str], *rest: Any, **named: Any) -> Any:
        size = int(headers.get("content-length") or 0)
        if size > REQUEST_LIMIT and headers.get("x-amz-invocation-type", "RequestResponse") == "RequestResponse":
            limit = f"for the RequestResponse invocation type (limit {REQUEST_LIMIT} bytes)"
            message = f"{size} byte payload is too large {limit}"
            return service.error_response_json("RequestTooLargeException", message, 413)
        return await invoke(name, event, headers, *rest, **named)

    emulator.replace(service, "_execute_function_warm", execute)
    emulator.replace(service, "_emit_lambda_logs", emit_logs)
    emulator.replace(service, "invalidate_worker", invalidate_workers)
    emulator.replace(service, "_invoke", invoke_within_limit)
    return runner


def _fingerprint(config: Mapping[str, Any]) -> str:
    """Return a digest of everything that an execution environment is made from."""
    described = json.dumps({name: config.get(name) for name in _CONFIGURATION}, sort_keys=True, default=str)
    return hashlib.sha256(described.encode()).hexdigest()
