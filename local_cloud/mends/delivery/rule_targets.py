"""Deliver the events of EventBridge rules to their targets at least once.

EventBridge delivers an accepted event at least once ("How Amazon EventBridge delivers events"). So each match of a rule
is stored on disk before the response to the call that caused the event is sent: PutEvents, a write to S3, an alarm that
changes its state. One thread makes the deliveries in the order of acceptance and removes each one afterwards. After a
crash the next server process makes the remaining deliveries. Each has a token that stays the same, so that a state
machine that was already started is not started twice.
"""

from __future__ import annotations

import contextvars
import json
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from local_cloud.mends.delivery.undelivered_events import UndeliveredEvents
from local_cloud.mends.patching import core, service

logger = logging.getLogger("local_cloud.rule_targets")

#: EventBridge retries for 24 hours; a restored delivery waits as long for its target to be deployed again.
MAX_AGE_SECONDS = 86_400
#: Seconds before a delivery is tried again.
HOLD_SECONDS = 0.5


@dataclass(frozen=True)
class Delivery:
    """One event for one target.

    Attributes
    ----------
    token : str
        Created at acceptance, and the same for each attempt.
    account, region : str
        Of the rule.
    target, event, rule : dict
        As MiniStack's EventBridge stores them.
    depth : int
        The number of chained Lambda invocations before this event, for recursive loop detection.
    accepted_at : float
        Seconds since the epoch.
    """

    token: str
    account: str
    region: str
    target: dict[str, Any]
    event: dict[str, Any]
    rule: dict[str, Any]
    depth: int
    accepted_at: float


class TargetMissing(LookupError):
    """The target of a rule does not exist or rejected the event.

    Parameters
    ----------
    failures : list of (payload, reason)
        What could not be delivered.
    """

    def __init__(self, failures: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(reason for _, reason in failures))
        self.failures = failures


class RuleTargets:
    """Deliver the stored events.

    Parameters
    ----------
    undelivered : UndeliveredEvents
        Stores accepted deliveries until they are made.
    deliver : callable
        Makes one delivery, in its account and region; raises :class:`TargetMissing`.
    give_up : callable
        Called with a delivery and its failures when its target does not exist.
    """

    def __init__(
        self,
        undelivered: UndeliveredEvents,
        deliver: Callable[[Delivery], None],
        give_up: Callable[[Delivery, list[tuple[str, str]]], None],
    ) -> None:
        self._undelivered = undelivered
        self._deliver = deliver
        self._give_up = give_up
        self._accepted: queue.SimpleQueue[tuple[int, Delivery]] = queue.SimpleQueue()
        #: Deliveries to try again, and whether each was restored from disk.
        self._held = [(number, Delivery(**json.loads(text)), True) for number, text in undelivered.pending_deliveries()]

    def start(self) -> None:
        """Start to deliver, restored events first; called when the services' state has been restored."""
        threading.Thread(target=self._run, name="rule-targets", daemon=True).start()

    def accept(self, target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        """Replace EventBridge's ``_invoke_target``; the delivery is on disk when this returns."""
        responses = core("responses")
        delivery = Delivery(
            token=str(uuid.uuid4()),
            account=responses.get_account_id(),
            region=responses.get_region(),
            target=target,
            event=event,
            rule=rule,
            depth=int(service("lambda_svc")._invoke_depth.get()),
            accepted_at=time.time(),
        )
        self._accepted.put((self._undelivered.accept_delivery(json.dumps(asdict(delivery))), delivery))

    def _run(self) -> None:
        while True:
            self._held = [held for held in self._held if not self._done(*held)]
            try:
                number, delivery = self._accepted.get(timeout=HOLD_SECONDS if self._held else None)
            except queue.Empty:
                continue
            if not self._done(number, delivery, restored=False):
                self._held.append((number, delivery, False))

    def _done(self, number: int, delivery: Delivery, restored: bool) -> bool:
        """Make one delivery or give it up; return False if it must be tried again.

        A delivery to a target that does not exist is given up, as in AWS. A restored delivery waits instead, because
        its target's deployment may not have been on disk and will be repeated. An error of the emulator loses nothing.
        """
        too_old = time.time() - delivery.accepted_at > MAX_AGE_SECONDS
        try:
            contextvars.Context().run(self._in_scope, delivery)
        except TargetMissing as missing:
            if restored and not too_old:
                return False
            self._give_up(delivery, missing.failures)
        except Exception:
            logger.exception("delivery of rule %s failed inside the emulator", delivery.rule.get("Name"))
            if not too_old:
                return False
        self._undelivered.remove_delivery(number)
        return True

    def _in_scope(self, delivery: Delivery) -> None:
        responses = core("responses")
        responses.set_request_account_id(delivery.account)
        responses.set_request_region(delivery.region)
        service("lambda_svc")._invoke_depth.set(delivery.depth)
        self._deliver(delivery)
