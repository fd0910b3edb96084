"""Asynchronous delivery, done once: events, notifications, log subscriptions and ``InvocationType=Event``.

Restores the behaviour of the AWS documentation pages "How Lambda handles errors and retries with asynchronous
invocation", "Capturing records of Lambda asynchronous invocations", "Adding a dead-letter queue", "Log group-level
subscription filters", "Filter pattern syntax …" and, for rules, "Using dead-letter queues to process undelivered
events in EventBridge" and "Amazon S3 Event Notifications" (delivered at least once). Without this mend the emulator
runs each such event once on a thread of its own: no retry, no destination, nothing after its death, and nothing at all
for a subscription filter with a JSON pattern.
"""

from __future__ import annotations

import contextvars
import functools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_cloud.emulator import module
from local_cloud.mends.async_invoke import AsyncInvoker
from local_cloud.mends.destinations import send_to_queue
from local_cloud.mends.filter_patterns import InvalidFilterPattern, compile_pattern
from local_cloud.mends.log_subscriptions import LogSubscriptions
from local_cloud.mends.patching import core, replace, require, service
from local_cloud.mends.rule_targets import Delivery, RuleTargets, TargetMissing
from local_cloud.mends.undelivered_events import UndeliveredEvents

logger = logging.getLogger("local_cloud.delivery")

TARGETS = (
    "ministack.services.lambda_svc.invoke_async_with_retry",
    "ministack.services.sns._deliver_to_lambda",
    "ministack.services.eventbridge._dispatch_to_lambda",
    "ministack.services.eventbridge._dispatch_to_stepfunctions",
    "ministack.services.eventbridge._dispatch_to_sns",
    "ministack.services.eventbridge._dispatch_to_sqs",
    "ministack.services.eventbridge._invoke_target",
    "ministack.services.eventbridge._events_log_list",
    "ministack.services.s3.handle_request",
    "ministack.services.s3._fire_s3_event",
    "ministack.services.s3._fire_s3_event_async",
    "ministack.services.s3._bucket_notifications",
    "ministack.services.s3._next_event_sequencer",
    "ministack.app._load_persisted_state",
    "ministack.services.cloudwatch_logs._fanout_to_subscription_filters",
    "ministack.services.cloudwatch_logs._subscription_pattern_matches",
    "ministack.services.cloudwatch_logs._compile_filter_pattern",
    "ministack.services.cloudwatch_logs._put_subscription_filter",
    "ministack.services.cloudwatch_logs._filter_log_events",
)


@dataclass
class _Attempt:
    """One delivery to a rule's target, and what came of it.

    ``failures`` are payloads with the reason they could not be delivered; ``errors`` are the emulator's own.
    """

    token: str
    failures: list[tuple[str, str]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)


_attempt: contextvars.ContextVar[_Attempt] = contextvars.ContextVar("attempt")
#: What the S3 request being served has caused, to be told when it is done.
_object_events: contextvars.ContextVar[list[Callable[[], None]]] = contextvars.ContextVar("object_events")


@functools.cache
def _undelivered() -> UndeliveredEvents:
    """The journal of this emulator's state folder."""
    return UndeliveredEvents(Path(core("persistence").STATE_DIR) / "undelivered.sqlite3")


@functools.cache
def _machinery() -> tuple[AsyncInvoker, LogSubscriptions]:
    """The one invoker and batcher of this emulator process."""
    invoker = AsyncInvoker(_undelivered())
    return invoker, LogSubscriptions(_undelivered(), invoker)


def _invoke_async(func: dict[str, Any], event: Any) -> None:
    config = func.get("config") or func
    _machinery()[0].submit(config["FunctionArn"], event)


def _sns_to_lambda(
    endpoint: str,
    envelope: str,
    topic_arn: str,
    subscription_arn: str,
    message_id: str,
    raw_message: str,
    attributes: dict[str, Any],
) -> None:
    record = {
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription_arn,
        "EventSource": "aws:sns",
        "Sns": json.loads(envelope),
    }
    _machinery()[0].submit(endpoint, {"Records": [record]})


def _fan_out_log_events(group_name: str, stream_name: str, events: list[dict[str, Any]]) -> None:
    _machinery()[1].accept(group_name, stream_name, events)


def _rule_to_lambda(arn: str, payload: str) -> None:
    record, _, name = service("lambda_svc")._get_func_record_for_ref(arn)
    if record is None:
        _attempt.get().failures.append((payload, f"function {name} does not exist"))
        return
    _machinery()[0].submit(arn, json.loads(payload))


def _rule_to_state_machine(arn: str, payload: str) -> None:
    machines = service("stepfunctions")
    if machines._resolve_state_machine_arn(arn) is None:
        _attempt.get().failures.append((payload, f"state machine {arn} does not exist"))
        return
    token = _attempt.get().token
    status, _, body = machines._start_execution({"stateMachineArn": arn, "input": payload, "name": token})
    if status >= 400 and b"ExecutionAlreadyExists" not in body:  # started by an earlier attempt at this delivery
        _attempt.get().failures.append((payload, f"StartExecution answered {status}: {body!r}"))


def _rule_to_topic(arn: str, payload: str) -> None:
    topics = service("sns")
    try:
        if topics.publish_internal(arn, payload, "") is None:
            _attempt.get().failures.append((payload, f"topic {arn} does not exist"))
    except topics.SnsPublishError as error:
        _attempt.get().failures.append((payload, f"Publish was refused: {error}"))


def _rule_to_queue(original: Callable[..., Any]) -> Callable[..., Any]:
    def dispatch(spec: Any, payload: str, parameters: dict[str, Any] | None = None) -> None:
        if service("sqs")._queue_by_arn(str(spec)) is None:
            _attempt.get().failures.append((payload, f"queue {spec} does not exist"))
            return
        original(spec, payload, parameters)

    return dispatch


def _reporting(dispatch: Callable[..., None]) -> Callable[..., None]:
    """Wrap the call of one kind of target: the emulator logs its own errors and forgets the event, this remembers them."""

    def report(*arguments: Any) -> None:
        try:
            dispatch(*arguments)
        except Exception as error:
            _attempt.get().errors.append(error)
            raise

    return report


def _deliver(original: Callable[..., Any]) -> Callable[[Delivery], None]:
    """Wrap EventBridge's target call: it says what it could not deliver."""

    def deliver(delivery: Delivery) -> None:
        attempt = _Attempt(delivery.token)
        _attempt.set(attempt)
        original(delivery.target, delivery.event, delivery.rule)
        if attempt.errors:
            raise attempt.errors[0]
        if attempt.failures:
            raise TargetMissing(attempt.failures)

    return deliver


def _give_up(delivery: Delivery, failures: list[tuple[str, str]]) -> None:
    """Send what cannot be delivered to the target's dead-letter queue."""
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


def _tell_of_object(bucket: str, key: str, event_name: str, *details: Any, **more: Any) -> None:
    """Take the place of S3's notification thread: the event is accepted before the write that caused it is answered."""
    buckets = service("s3")
    if bucket not in buckets._bucket_notifications:
        return
    more["sequencer"] = buckets._next_event_sequencer(event_name)
    scope = contextvars.copy_context()
    call = functools.partial(scope.run, buckets._fire_s3_event, bucket, key, event_name, *details, **more)
    waiting = _object_events.get(None)
    if waiting is None:
        call()
    else:
        waiting.append(call)


def _serve_objects(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap S3's requests: events are told when the object is on disk and before the answer is sent."""

    async def handle(*arguments: Any, **named: Any) -> Any:
        waiting: list[Callable[[], None]] = []
        token = _object_events.set(waiting)
        try:
            response = await original(*arguments, **named)
        finally:
            _object_events.reset(token)
        for call in waiting:
            call()
        return response

    return handle


def _refusing_bad_patterns(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an action that takes a ``filterPattern`` so that it refuses a malformed one, as AWS does."""

    def action(data: dict[str, Any]) -> Any:
        try:
            compile_pattern(data.get("filterPattern") or "")
        except InvalidFilterPattern as error:
            return core("responses").error_response_json("InvalidParameterException", str(error), 400)
        return original(data)

    return action


def apply() -> None:
    """Route every asynchronous invocation of the emulator through the journal and the invoker."""
    require(TARGETS)
    logs, events = "ministack.services.cloudwatch_logs", "ministack.services.eventbridge"
    replace("ministack.services.lambda_svc.invoke_async_with_retry", _invoke_async)
    replace("ministack.services.sns._deliver_to_lambda", _sns_to_lambda)
    dispatchers = {
        "lambda": _rule_to_lambda,
        "stepfunctions": _rule_to_state_machine,
        "sns": _rule_to_topic,
        "sqs": _rule_to_queue(service("eventbridge")._dispatch_to_sqs),
    }
    for kind, dispatch in dispatchers.items():
        replace(f"{events}._dispatch_to_{kind}", _reporting(dispatch))
    targets = RuleTargets(_undelivered(), _deliver(service("eventbridge")._invoke_target), _give_up)
    replace(f"{events}._invoke_target", targets.accept)
    replace(f"{events}._events_log_list", list)  # nothing reads it, and it would grow for ever
    replace("ministack.services.s3._fire_s3_event_async", _tell_of_object)
    replace("ministack.services.s3.handle_request", _serve_objects(service("s3").handle_request))
    application = module("app")

    def restore(load: Callable[[], None] = application._load_persisted_state) -> None:
        load()
        targets.start()

    replace("ministack.app._load_persisted_state", restore)
    replace(f"{logs}._fanout_to_subscription_filters", _fan_out_log_events)
    replace(f"{logs}._subscription_pattern_matches", lambda pattern, text: compile_pattern(pattern or "")(text or ""))
    replace(f"{logs}._compile_filter_pattern", lambda pattern: compile_pattern(pattern or ""))
    for action in ("_put_subscription_filter", "_filter_log_events"):
        original = getattr(service("cloudwatch_logs"), action)
        replace(f"{logs}.{action}", _refusing_bad_patterns(original))
    _machinery()
