"""Asynchronous delivery, done once: events, notifications, log subscriptions and ``InvocationType=Event``.

Restores the behaviour of the AWS documentation pages "How Lambda handles errors and retries with asynchronous
invocation", "Capturing records of Lambda asynchronous invocations", "Adding a dead-letter queue", "Log group-level
subscription filters", "Filter pattern syntax …" and, for rules, "Using dead-letter queues to process undelivered
events in EventBridge". Without this mend the emulator runs each such event once on a thread of its own: no retry, no
destination, and nothing at all for a subscription filter with a JSON pattern.
"""

from __future__ import annotations

import contextvars
import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_cloud.mends.async_invoke import AsyncInvoker
from local_cloud.mends.destinations import send_to_queue
from local_cloud.mends.event_journal import EventJournal
from local_cloud.mends.filter_patterns import InvalidFilterPattern, compile_pattern
from local_cloud.mends.log_subscriptions import LogSubscriptions
from local_cloud.mends.patching import core, replace, require, service

logger = logging.getLogger("local_cloud.delivery")

TARGETS = (
    "ministack.services.lambda_svc.invoke_async_with_retry",
    "ministack.services.sns._deliver_to_lambda",
    "ministack.services.eventbridge._dispatch_to_lambda",
    "ministack.services.eventbridge._dispatch_to_stepfunctions",
    "ministack.services.eventbridge._dispatch_to_sns",
    "ministack.services.eventbridge._dispatch_to_sqs",
    "ministack.services.eventbridge._invoke_target",
    "ministack.services.cloudwatch_logs._fanout_to_subscription_filters",
    "ministack.services.cloudwatch_logs._subscription_pattern_matches",
    "ministack.services.cloudwatch_logs._compile_filter_pattern",
    "ministack.services.cloudwatch_logs._put_subscription_filter",
    "ministack.services.cloudwatch_logs._filter_log_events",
)


#: Reasons, with the payload, why the rule target being invoked in this context could not be reached.
_undelivered: contextvars.ContextVar[list[tuple[str, str]]] = contextvars.ContextVar("undelivered")


@functools.cache
def _machinery() -> tuple[AsyncInvoker, LogSubscriptions]:
    """The one invoker and batcher of this emulator process, started with the journal of its state folder."""
    journal = EventJournal(Path(core("persistence").STATE_DIR) / "undelivered.sqlite3")
    invoker = AsyncInvoker(journal)
    return invoker, LogSubscriptions(journal, invoker)


def outstanding() -> int:
    """Return how many asynchronous invocations wait or run in this emulator."""
    return _machinery()[0].outstanding()


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
        _undelivered.get().append((payload, f"function {name} does not exist"))
        return
    _machinery()[0].submit(arn, json.loads(payload))


def _rule_to_state_machine(arn: str, payload: str) -> None:
    machines = service("stepfunctions")
    if machines._resolve_state_machine_arn(arn) is None:
        _undelivered.get().append((payload, f"state machine {arn} does not exist"))
        return
    status, _, body = machines._start_execution({"stateMachineArn": arn, "input": payload})
    if status >= 400:
        _undelivered.get().append((payload, f"StartExecution answered {status}: {body!r}"))


def _rule_to_topic(arn: str, payload: str) -> None:
    topics = service("sns")
    try:
        if topics.publish_internal(arn, payload, "") is None:
            _undelivered.get().append((payload, f"topic {arn} does not exist"))
    except topics.SnsPublishError as error:
        _undelivered.get().append((payload, f"Publish was refused: {error}"))


def _rule_to_queue(original: Callable[..., Any]) -> Callable[..., Any]:
    def dispatch(spec: Any, payload: str, parameters: dict[str, Any] | None = None) -> None:
        if service("sqs")._queue_by_arn(str(spec)) is None:
            _undelivered.get().append((payload, f"queue {spec} does not exist"))
            return
        original(spec, payload, parameters)

    return dispatch


def _invoke_rule_target(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap EventBridge's target call: what cannot be delivered goes to the target's dead-letter queue."""

    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        failures: list[tuple[str, str]] = []
        token = _undelivered.set(failures)
        try:
            original(target, event, rule, view)
        finally:
            _undelivered.reset(token)
        queue_arn = (target.get("DeadLetterConfig") or {}).get("Arn")
        for payload, reason in failures:
            logger.warning("rule %s could not deliver to %s: %s", rule.get("Name"), target.get("Arn"), reason)
            if queue_arn:
                texts = {
                    "RULE_ARN": str(rule.get("Arn", "")),
                    "TARGET_ARN": str(target.get("Arn", "")),
                    "ERROR_CODE": "NO_RESOURCE",
                    "ERROR_MESSAGE": reason,
                }
                attributes = {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}
                send_to_queue(queue_arn, payload, attributes)

    return invoke_target


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
    replace(f"{events}._dispatch_to_lambda", _rule_to_lambda)
    replace(f"{events}._dispatch_to_stepfunctions", _rule_to_state_machine)
    replace(f"{events}._dispatch_to_sns", _rule_to_topic)
    replace(f"{events}._dispatch_to_sqs", _rule_to_queue(service("eventbridge")._dispatch_to_sqs))
    replace(f"{events}._invoke_target", _invoke_rule_target(service("eventbridge")._invoke_target))
    replace(f"{logs}._fanout_to_subscription_filters", _fan_out_log_events)
    replace(f"{logs}._subscription_pattern_matches", lambda pattern, text: compile_pattern(pattern or "")(text or ""))
    replace(f"{logs}._compile_filter_pattern", lambda pattern: compile_pattern(pattern or ""))
    for action in ("_put_subscription_filter", "_filter_log_events"):
        original = getattr(service("cloudwatch_logs"), action)
        replace(f"{logs}.{action}", _refusing_bad_patterns(original))
    _machinery()
