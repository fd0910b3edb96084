"""Call the targets of EventBridge rules, and tell apart what was delivered, what cannot be, and what failed.

Restores "Using dead-letter queues to process undelivered events in EventBridge". MiniStack logs the errors of a target
and drops the event. Here each dispatch function records them, so that the delivery is repeated after an error of the
emulator, and goes to the target's dead-letter queue when the target does not exist.
"""

from __future__ import annotations

import contextvars
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local_cloud.mends.delivery.async_invoke import AsyncInvoker
from local_cloud.mends.delivery.destinations import send_to_queue
from local_cloud.mends.delivery.rule_targets import Delivery, TargetMissing
from local_cloud.mends.patching import replace, service

logger = logging.getLogger("local_cloud.rule_dispatch")

_NAME = "ministack.services.eventbridge"
TARGETS = (
    f"{_NAME}._dispatch_to_lambda",
    f"{_NAME}._dispatch_to_stepfunctions",
    f"{_NAME}._dispatch_to_sns",
    f"{_NAME}._dispatch_to_sqs",
    f"{_NAME}._invoke_target",
    f"{_NAME}._events_log_list",
)


@dataclass
class _Attempt:
    """One attempt to deliver an event to a target.

    Attributes
    ----------
    token : str
        The delivery's token.
    failures : list of (payload, reason)
        What could not be delivered.
    errors : list of Exception
        Errors inside the emulator.
    """

    token: str
    failures: list[tuple[str, str]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)


_attempt: contextvars.ContextVar[_Attempt] = contextvars.ContextVar("attempt")


def apply(invoker: AsyncInvoker) -> None:
    """Replace EventBridge's dispatch functions."""
    dispatchers = {
        "lambda": _to_lambda(invoker),
        "stepfunctions": _to_state_machine,
        "sns": _to_topic,
        "sqs": _to_queue(service("eventbridge")._dispatch_to_sqs),
    }
    for kind, dispatch in dispatchers.items():
        replace(f"{_NAME}._dispatch_to_{kind}", _recording_errors(dispatch))
    replace(f"{_NAME}._events_log_list", list)  # nothing reads that log, and it would grow without bound


def deliver(original: Callable[..., Any]) -> Callable[[Delivery], None]:
    """Wrap EventBridge's ``_invoke_target`` so that it raises what went wrong."""

    def call(delivery: Delivery) -> None:
        attempt = _Attempt(delivery.token)
        _attempt.set(attempt)
        original(delivery.target, delivery.event, delivery.rule)
        if attempt.errors:
            raise attempt.errors[0]
        if attempt.failures:
            raise TargetMissing(attempt.failures)

    return call


def give_up(delivery: Delivery, failures: list[tuple[str, str]]) -> None:
    """Log what cannot be delivered and send it to the target's dead-letter queue, if it has one."""
    queue_arn = (delivery.target.get("DeadLetterConfig") or {}).get("Arn")
    for payload, reason in failures:
        logger.warning("rule %s could not deliver to %s: %s", delivery.rule.get("Name"), delivery.target.get("Arn"), reason)
        if queue_arn:
            texts = {
                "RULE_ARN": str(delivery.rule.get("Arn", "")),
                "TARGET_ARN": str(delivery.target.get("Arn", "")),
                "ERROR_CODE": "NO_RESOURCE",
                "ERROR_MESSAGE": reason,
            }
            attributes = {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}
            send_to_queue(queue_arn, payload, attributes)


def _to_lambda(invoker: AsyncInvoker) -> Callable[..., None]:
    def dispatch(arn: str, payload: str) -> None:
        record, _, name = service("lambda_svc")._get_func_record_for_ref(arn)
        if record is None:
            _attempt.get().failures.append((payload, f"function {name} does not exist"))
            return
        invoker.submit(arn, json.loads(payload))

    return dispatch


def _to_state_machine(arn: str, payload: str) -> None:
    machines = service("stepfunctions")
    if machines._resolve_state_machine_arn(arn) is None:
        _attempt.get().failures.append((payload, f"state machine {arn} does not exist"))
        return
    token = _attempt.get().token
    status, _, body = machines._start_execution({"stateMachineArn": arn, "input": payload, "name": token})
    if status >= 400 and b"ExecutionAlreadyExists" not in body:  # an earlier attempt of this delivery started it
        _attempt.get().failures.append((payload, f"StartExecution returned {status}: {body!r}"))


def _to_topic(arn: str, payload: str) -> None:
    topics = service("sns")
    try:
        if topics.publish_internal(arn, payload, "") is None:
            _attempt.get().failures.append((payload, f"topic {arn} does not exist"))
    except topics.SnsPublishError as error:
        _attempt.get().failures.append((payload, f"Publish was rejected: {error}"))


def _to_queue(original: Callable[..., Any]) -> Callable[..., None]:
    def dispatch(spec: Any, payload: str, parameters: dict[str, Any] | None = None) -> None:
        if service("sqs")._queue_by_arn(str(spec)) is None:
            _attempt.get().failures.append((payload, f"queue {spec} does not exist"))
            return
        original(spec, payload, parameters)

    return dispatch


def _recording_errors(dispatch: Callable[..., None]) -> Callable[..., None]:
    """Record the errors of a dispatch function; the emulator logs them and drops the event."""

    def call(*arguments: Any) -> None:
        try:
            dispatch(*arguments)
        except Exception as error:
            _attempt.get().errors.append(error)
            raise

    return call
