"""Publish the metrics of Lambda, Step Functions and SQS that the platform's alarms use.

Restores the AWS documentation pages "Types of metrics for Lambda functions" (invocations from every service count, for
the function and for the invoked alias), "Monitoring Step Functions metrics using CloudWatch" and "Available CloudWatch
metrics for Amazon SQS". Without this mend only direct invocations count, and none for an alias, so an alarm on a
function's errors or on a dead-letter queue could not trigger.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from local_cloud.mends import repeating
from local_cloud.mends.patching import core, replace, require, service

_LAMBDA = "ministack.services.lambda_svc"
TARGETS = (
    f"{_LAMBDA}._emit_lambda_metrics",
    f"{_LAMBDA}._execute_function_dispatch",
    "ministack.services.stepfunctions._emit_execution_status_event",
    "ministack.services.sqs._queues",
    "ministack.services.cloudwatch.record_metric",
)

QUEUE_SECONDS = 5.0
#: By account, region and queue: the last published number, and the minute of publication.
_published: dict[tuple[str, str, str], tuple[int, int]] = {}


def _record(namespace: str, name: str, value: float, unit: str, dimensions: dict[str, str]) -> None:
    service("cloudwatch").record_metric(namespace, name, value, unit, dimensions)


def _dimension_sets(config: dict[str, Any]) -> list[dict[str, str]]:
    """Return the dimensions of the function alone, and those with the invoked version or alias."""
    name = str(config["FunctionName"])
    sets = [{"FunctionName": name}]
    _, qualifier = service("lambda_svc")._lambda_function_name_and_qualifier_from_arn(config.get("FunctionArn", ""))
    if qualifier and qualifier != "$LATEST":
        sets.append({"FunctionName": name, "Resource": f"{name}:{qualifier}"})
    return sets


def _execute(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute(func: dict[str, Any], config: dict[str, Any], event: Any, request_id: str, started: float) -> Any:
        result = original(func, config, event, request_id, started)
        milliseconds = (time.time() - started) * 1000.0
        failed = bool(result.get("error"))
        for dimensions in _dimension_sets(config):
            _record("AWS/Lambda", "Invocations", 1, "Count", dimensions)
            _record("AWS/Lambda", "Errors", int(failed), "Count", dimensions)
            _record("AWS/Lambda", "Duration", milliseconds, "Milliseconds", dimensions)
        return result

    return execute


def _count_throttle(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
    """Count a throttled invocation once: the emulator reports it where it happens, and its callers report it again."""
    if throttle and not error:
        _record("AWS/Lambda", "Throttles", 1, "Count", {"FunctionName": function_name})


_STATES = {
    "RUNNING": "ExecutionsStarted",
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}


def _execution_status(original: Callable[..., Any]) -> Callable[..., Any]:
    def announce(execution: dict[str, Any]) -> None:
        machines = service("stepfunctions")
        dimensions = {"StateMachineArn": str(execution["stateMachineArn"])}
        _record("AWS/States", _STATES[execution["status"]], 1, "Count", dimensions)
        if execution["status"] != "RUNNING":
            began, ended = (machines._iso_to_epoch_ms(execution.get(name)) for name in ("startDate", "stopDate"))
            if began is not None and ended is not None:
                _record("AWS/States", "ExecutionTime", float(ended - began), "Milliseconds", dimensions)
        original(execution)

    return announce


def must_publish(queue: tuple[str, str, str], visible: int, now: float) -> bool:
    """Whether a queue's number changed or is the first of its minute; others would only make the stored metrics grow."""
    current = (visible, int(now // 60))
    if _published.get(queue) == current:
        return False
    _published[queue] = current
    return True


def _watch_queues() -> None:
    """Publish the number of visible messages of each queue."""
    queues, responses = service("sqs")._queues, core("responses")
    now = time.time()
    for (account, region, _), queue in list(queues._data.items()):
        visible = sum(message.get("visible_at", 0) <= now for message in list(queue["messages"]))
        name = queue["attributes"]["QueueArn"].rsplit(":", 1)[-1]
        if not must_publish((account, region, name), visible, now):
            continue
        with responses.request_scope(account, region):
            _record("AWS/SQS", "ApproximateNumberOfMessagesVisible", visible, "Count", {"QueueName": name})


def apply() -> None:
    """Publish the services' metrics."""
    require(TARGETS)
    functions, machines = service("lambda_svc"), service("stepfunctions")
    replace(f"{_LAMBDA}._emit_lambda_metrics", _count_throttle)
    replace(f"{_LAMBDA}._execute_function_dispatch", _execute(functions._execute_function_dispatch))
    announce = "ministack.services.stepfunctions._emit_execution_status_event"
    replace(announce, _execution_status(machines._emit_execution_status_event))
    repeating.every(QUEUE_SECONDS, _watch_queues, name="queue metrics")
