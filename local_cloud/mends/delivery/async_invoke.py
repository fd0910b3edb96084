"""Asynchronous invocation of Lambda functions with AWS's retries, for every service of the emulator.

An accepted event is stored on disk, waits in its function's queue, and is attempted up to three times (two retries by
default). A throttled attempt is not a failure: it is retried until the event is too old. An event that fails finally
goes to the function's dead-letter queue and on-failure destination, a successful one to its on-success destination.
One dispatcher thread starts the attempts. Each attempt has its own thread, because a handler calls back into the
emulator and must not wait for a pooled thread that its own caller holds.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from local_cloud.mends.delivery import destinations
from local_cloud.mends.delivery.undelivered_events import Invocation, UndeliveredEvents
from local_cloud.mends.patching import service

logger = logging.getLogger("local_cloud.async_invoke")

DEFAULT_RETRIES = 2
DEFAULT_EVENT_AGE_SECONDS = 21_600
#: Seconds before a throttled event, or one whose function is not deployed yet, is tried again.
HOLD_SECONDS = 0.25
#: Concurrent attempts of one function; AWS's limit is far higher than a laptop can run.
CONCURRENCY_PER_FUNCTION = 4
#: Seconds before the first retry, doubled for the second; AWS waits one minute, then two.
RETRY_BASE_SECONDS = 0.5


@dataclass
class _Waiting:
    invocation: Invocation
    not_before: float


class AsyncInvoker:
    """Deliver the stored invocations.

    Parameters
    ----------
    undelivered : UndeliveredEvents
        Stores accepted invocations until they are delivered. Those that it already contains are delivered first.
    """

    def __init__(self, undelivered: UndeliveredEvents) -> None:
        self._undelivered = undelivered
        self._condition = threading.Condition()
        self._queues: dict[str, list[_Waiting]] = defaultdict(list)
        self._running: dict[str, int] = defaultdict(int)
        self._busy_keys: set[tuple[str, str]] = set()
        self._seen: set[str] = set()
        now = time.time()
        for invocation in undelivered.pending():
            self._queues[invocation.function_arn].append(_Waiting(invocation, now))
        threading.Thread(target=self._dispatch, name="async-invoke", daemon=True).start()

    def submit(self, function_arn: str, event: Any, *, order_key: str = "") -> None:
        """Accept one event for a function; it is on disk when this returns."""
        depth = int(service("lambda_svc")._invoke_depth.get())
        self.enqueue(self._undelivered.accept(function_arn, json.dumps(event), order_key=order_key, depth=depth))

    def enqueue(self, invocation: Invocation) -> None:
        """Queue an invocation that is already stored."""
        with self._condition:
            self._queues[invocation.function_arn].append(_Waiting(invocation, 0.0))
            self._condition.notify()

    def _dispatch(self) -> None:
        while True:
            with self._condition:
                now = time.time()
                wake_at = now + 60.0
                for function_arn, queue in self._queues.items():
                    while self._running[function_arn] < CONCURRENCY_PER_FUNCTION:
                        chosen, due = self._next(queue, now)
                        if chosen is None:
                            wake_at = min(wake_at, due)
                            break
                        self._start(function_arn, chosen)
                self._condition.wait(timeout=max(0.0, wake_at - time.time()))

    def _next(self, queue: list[_Waiting], now: float) -> tuple[_Waiting | None, float]:
        """Take the first entry that may run, or return the time when one may.

        Entries with the same order key keep their order.
        """
        earliest = now + 60.0
        passed: set[str] = set()
        for index, waiting in enumerate(queue):
            key = waiting.invocation.order_key
            if key and (key in passed or (waiting.invocation.function_arn, key) in self._busy_keys):
                continue
            if waiting.not_before <= now:
                return queue.pop(index), now
            earliest = min(earliest, waiting.not_before)
            passed.add(key)
        return None, earliest

    def _start(self, function_arn: str, waiting: _Waiting) -> None:
        self._running[function_arn] += 1
        key = waiting.invocation.order_key
        if key:
            self._busy_keys.add((function_arn, key))
        threading.Thread(target=self._run, args=(waiting,), name="async-attempt", daemon=True).start()

    def _run(self, waiting: _Waiting) -> None:
        invocation = waiting.invocation
        again: _Waiting | None = replace(waiting, not_before=time.time() + HOLD_SECONDS)
        try:
            again = self._attempt(waiting)
        except Exception:
            # The event stays stored and is tried again: an error of the emulator must not lose it.
            logger.exception("asynchronous delivery to %s failed inside the emulator", invocation.function_arn)
        finally:
            with self._condition:
                self._running[invocation.function_arn] -= 1
                self._busy_keys.discard((invocation.function_arn, invocation.order_key))
                if again is not None:
                    # Insert it by age, so that a retried entry is still the first of its order key.
                    queue = self._queues[invocation.function_arn]
                    place = next((i for i, other in enumerate(queue) if other.invocation.id > invocation.id), len(queue))
                    queue.insert(place, again)
                self._condition.notify()

    def _attempt(self, waiting: _Waiting) -> _Waiting | None:
        """Make one attempt; return the entry to try again, or None when the event is finished."""
        invocation = waiting.invocation
        lambda_service = service("lambda_svc")
        target = _Target.find(invocation.function_arn)
        age = time.time() - invocation.accepted_at
        if target is None:
            # A deleted function loses its events, as in AWS. A function that did not exist since this server started
            # may be deployed again soon (its deployment was not yet on disk), so its stored events wait.
            if invocation.function_arn not in self._seen and age <= DEFAULT_EVENT_AGE_SECONDS:
                return replace(waiting, not_before=time.time() + HOLD_SECONDS)
            logger.warning("asynchronous event dropped: function %s does not exist", invocation.function_arn)
            self._undelivered.remove(invocation.id)
            return None
        self._seen.add(invocation.function_arn)
        event = json.loads(self._undelivered.payload(invocation.id))
        if age > target.maximum_age:
            self._give_up(invocation, target, event, "EventAgeExceeded", None)
            return None

        def execute() -> Any:
            lambda_service._invoke_depth.set(invocation.depth)
            return lambda_service._execute_function(target.record, event)

        result = target.in_scope(execute)
        throttled = bool(result.get("throttle"))
        failed = bool(result.get("error"))
        if throttled:
            return replace(waiting, not_before=time.time() + HOLD_SECONDS)
        attempts = invocation.attempts + 1
        if not failed:
            target.in_scope(lambda: destinations.on_success(target.settings, invocation, event, result))
            self._undelivered.remove(invocation.id)
            return None
        invocation = replace(invocation, attempts=attempts)
        if attempts > target.retries:
            self._give_up(invocation, target, event, "RetriesExhausted", result)
            return None
        self._undelivered.record_attempts(invocation.id, attempts)
        return replace(waiting, invocation=invocation, not_before=time.time() + RETRY_BASE_SECONDS * 2 ** (attempts - 1))

    def _give_up(
        self, invocation: Invocation, target: _Target, event: Any, condition: str, result: dict[str, Any] | None
    ) -> None:
        def send() -> None:
            dead_letter = (target.record["config"].get("DeadLetterConfig") or {}).get("TargetArn") or ""
            destinations.on_failure(target.settings, dead_letter, invocation, event, condition, result)
            service("cloudwatch").record_metric("AWS/Lambda", "AsyncEventsDropped", 1, "Count", {"FunctionName": target.name})

        target.in_scope(send)
        self._undelivered.remove(invocation.id)


@dataclass(frozen=True)
class _Target:
    """The function that an event is for, as it is deployed now."""

    name: str
    record: dict[str, Any]
    settings: dict[str, Any]

    @classmethod
    def find(cls, function_arn: str) -> _Target | None:
        """Resolve the ARN of a function, version or alias; None when it is not deployed."""
        lambda_service = service("lambda_svc")
        account, region = lambda_service._lambda_function_account_region_from_arn(function_arn)
        record, config, name = lambda_service._get_func_record_for_ref_in_scope(function_arn, account_id=account, region=region)
        if record is None or config is None:
            return None
        _, qualifier = lambda_service._lambda_function_name_and_qualifier_from_arn(function_arn)
        base = lambda_service._functions.get_scoped(account, region, name) or {}
        settings = lambda_service._event_invoke_config(base, qualifier) or {}
        # The handler's context has the invoked ARN, including the alias.
        config = {**config, "FunctionArn": function_arn}
        return cls(name, {**record, "config": config}, settings)

    @property
    def retries(self) -> int:
        value = self.settings.get("MaximumRetryAttempts")
        return DEFAULT_RETRIES if value is None else int(value)

    @property
    def maximum_age(self) -> float:
        return float(self.settings.get("MaximumEventAgeInSeconds") or DEFAULT_EVENT_AGE_SECONDS)

    def in_scope(self, call: Callable[[], Any]) -> Any:
        """Run a call in the account and region of the function."""
        return service("lambda_svc")._run_with_function_config_scope(self.record, call)
