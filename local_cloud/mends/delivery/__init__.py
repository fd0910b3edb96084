"""Asynchronous delivery at least once: events, notifications, log subscriptions and ``InvocationType=Event``.

Restores the behaviour of the AWS documentation pages "How Lambda handles errors and retries with asynchronous
invocation", "Capturing records of Lambda asynchronous invocations", "Adding a dead-letter queue" and "Log group-level
subscription filters". Without this mend the emulator calls each target once on a thread of its own: without retries or
destinations, and a crash loses the event. It also ignores JSON filter patterns.

``undelivered_events`` keeps accepted events on disk. ``async_invoke`` invokes functions and ``destinations`` sends the
results. ``rule_targets`` and ``rule_dispatch`` deliver the events of EventBridge rules, ``object_events`` those of S3.
``log_subscriptions`` sends log events that match a pattern of ``filter_patterns``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_cloud.emulator import module
from local_cloud.mends.delivery import object_events, rule_dispatch
from local_cloud.mends.delivery.async_invoke import AsyncInvoker
from local_cloud.mends.delivery.filter_patterns import UnsupportedFilterPattern, compile_pattern
from local_cloud.mends.delivery.log_subscriptions import LogSubscriptions
from local_cloud.mends.delivery.rule_targets import RuleTargets
from local_cloud.mends.delivery.undelivered_events import UndeliveredEvents
from local_cloud.mends.patching import core, replace, require, service

_LOGS = "ministack.services.cloudwatch_logs"
TARGETS = (
    "ministack.app._load_persisted_state",
    "ministack.core.persistence.STATE_DIR",
    "ministack.services.lambda_svc.invoke_async_with_retry",
    "ministack.services.sns._deliver_to_lambda",
    f"{_LOGS}._fanout_to_subscription_filters",
    f"{_LOGS}._subscription_pattern_matches",
    f"{_LOGS}._compile_filter_pattern",
    f"{_LOGS}._put_subscription_filter",
    f"{_LOGS}._filter_log_events",
    *rule_dispatch.TARGETS,
    *object_events.TARGETS,
)
_FILE = "undelivered.sqlite3"  # on disk, so never renamed


def apply() -> None:
    """Route every asynchronous delivery of the emulator through the queue on disk."""
    require(TARGETS)
    undelivered = UndeliveredEvents(Path(core("persistence").STATE_DIR) / _FILE)
    invoker = AsyncInvoker(undelivered)
    replace("ministack.services.lambda_svc.invoke_async_with_retry", _invoke_async(invoker))
    replace("ministack.services.sns._deliver_to_lambda", _topic_to_lambda(invoker))
    _route_rules(undelivered, invoker)
    object_events.apply()
    _route_logs(LogSubscriptions(undelivered, invoker))


def _route_rules(undelivered: UndeliveredEvents, invoker: AsyncInvoker) -> None:
    """Deliver the events of rules, from the moment the services' state is restored."""
    invoke_target = "ministack.services.eventbridge._invoke_target"
    targets = RuleTargets(undelivered, rule_dispatch.deliver(service("eventbridge")._invoke_target), rule_dispatch.give_up)
    rule_dispatch.apply(invoker)
    replace(invoke_target, targets.accept)
    load = module("app")._load_persisted_state

    def restore() -> None:
        load()
        targets.start()

    replace("ministack.app._load_persisted_state", restore)


def _route_logs(subscriptions: LogSubscriptions) -> None:
    """Send matching log events to their subscribers, and use the same patterns in searches."""
    replace(f"{_LOGS}._fanout_to_subscription_filters", subscriptions.accept)
    replace(f"{_LOGS}._subscription_pattern_matches", lambda pattern, text: compile_pattern(pattern or "")(text or ""))
    replace(f"{_LOGS}._compile_filter_pattern", lambda pattern: compile_pattern(pattern or ""))
    for action in ("_put_subscription_filter", "_filter_log_events"):
        replace(f"{_LOGS}.{action}", _rejecting_patterns(getattr(service("cloudwatch_logs"), action)))


def _invoke_async(invoker: AsyncInvoker) -> Callable[[dict[str, Any], Any], None]:
    def invoke(func: dict[str, Any], event: Any) -> None:
        config = func.get("config") or func
        invoker.submit(config["FunctionArn"], event)

    return invoke


def _topic_to_lambda(invoker: AsyncInvoker) -> Callable[..., None]:
    def deliver(endpoint: str, envelope: str, topic_arn: str, subscription_arn: str, *message: Any) -> None:
        record = {
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription_arn,
            "EventSource": "aws:sns",
            "Sns": json.loads(envelope),
        }
        invoker.submit(endpoint, {"Records": [record]})

    return deliver


def _rejecting_patterns(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an operation that has a ``filterPattern`` so that it rejects a pattern that is not supported."""

    def operation(data: dict[str, Any]) -> Any:
        try:
            compile_pattern(data.get("filterPattern") or "")
        except UnsupportedFilterPattern as error:
            return core("responses").error_response_json("InvalidParameterException", str(error), 400)
        return original(data)

    return operation
