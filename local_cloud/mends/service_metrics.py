"""The metrics that services publish about themselves and that alarms of the platform watch.

Restores the AWS documentation pages "Types of metrics for Lambda functions" (every invocation counts, whoever caused
it, under the function and under the alias that was called), "Monitoring Step Functions metrics using CloudWatch" and
"Available CloudWatch metrics for Amazon SQS". Without this mend only direct invocations are counted, and never under an
alias, so an alarm on a function's errors or on a dead-letter queue could not fire.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from local_cloud.mends import ticking
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
#: By account, region and queue: the number last told, and the minute it was told in.
_told: dict[tuple[str, str, str], tuple[int, int]] = {}


def _record(namespace: str, name: str, value: float, unit: str, dimensions: dict[str, str]) -> None:
    service("cloudwatch").record_metric(namespace, name, value, unit, dimensions)


def _dimension_sets(config: dict[str, Any]) -> list[dict[str, str]]:
    """The function alone, and with the version or alias it was invoked by."""
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
    """Count what never ran. The emulator reports a throttle where it happens, and its callers report it again."""
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


def worth_telling(queue: tuple[str, str, str], visible: int, now: float) -> bool:
    """Whether a queue's number changed, or is the first of its minute: SQS tells once a minute, and all of it is kept."""
    told = (visible, int(now // 60))
    if _told.get(queue) == told:
        return False
    _told[queue] = told
    return True


def _watch_queues() -> None:
    """Tell how many messages wait in each queue."""
    queues, responses = service("sqs")._queues, core("responses")
    now = time.time()
    for (account, region, _), queue in list(queues._data.items()):
        visible = sum(message.get("visible_at", 0) <= now for message in list(queue["messages"]))
        name = queue["attributes"]["QueueArn"].rsplit(":", 1)[-1]
        if not worth_telling((account, region, name), visible, now):
            continue
        with responses.request_scope(account, region):
            _record("AWS/SQS", "ApproximateNumberOfMessagesVisible", visible, "Count", {"QueueName": name})


def apply() -> None:
    """Publish what the services of AWS publish about themselves."""
    require(TARGETS)
    functions, machines = service("lambda_svc"), service("stepfunctions")
    replace(f"{_LAMBDA}._emit_lambda_metrics", _count_throttle)
    replace(f"{_LAMBDA}._execute_function_dispatch", _execute(functions._execute_function_dispatch))
    announce = "ministack.services.stepfunctions._emit_execution_status_event"
    replace(announce, _execution_status(machines._emit_execution_status_event))
    ticking.every(QUEUE_SECONDS, _watch_queues, name="queue metrics")
