"""What EventBridge owes to the targets of its rules.

An event that was accepted is delivered at least once (AWS documentation, "How Amazon EventBridge delivers events").
Each match of a rule is therefore written to the journal before the call that caused the event is answered: PutEvents, a
write to S3, an alarm that changes. One thread makes the deliveries in the order of acceptance and forgets each when it
was made; a killed emulator makes the others in its next life, with the token they were accepted under, so that a state
machine which was started already is not started twice.
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

from local_cloud.mends.patching import core, service
from local_cloud.mends.undelivered_events import UndeliveredEvents

logger = logging.getLogger("local_cloud.rule_targets")

#: EventBridge tries for a day; an earlier life's delivery waits as long for its target to be deployed again.
MAX_AGE_SECONDS = 86_400
#: How long such a delivery waits before it is looked at again.
HOLD_SECONDS = 0.5


@dataclass(frozen=True)
class Delivery:
    """One event for one target.

    Attributes
    ----------
    token : str
        Given at acceptance and the same at each repetition.
    account, region : str
        Of the rule.
    target, event, rule : dict
        As EventBridge keeps them.
    depth : int
        How many Lambda hops led here, for recursive loop detection.
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
    """The target of a rule could not be reached; raised with the reason and the payload it should have got.

    Parameters
    ----------
    failures : list of (payload, reason)
    """

    def __init__(self, failures: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(reason for _, reason in failures))
        self.failures = failures


class RuleTargets:
    """Deliver journalled events.

    Parameters
    ----------
    undelivered : UndeliveredEvents
        Where accepted deliveries live until they are made.
    deliver : callable
        Makes one, in its account and region; raises :class:`TargetMissing`.
    give_up : callable
        Called with a delivery and the failures of it when its target is gone for good.
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
        #: What is tried again, with whether an earlier life accepted it.
        self._held = [(number, Delivery(**json.loads(text)), True) for number, text in undelivered.pending_deliveries()]

    def start(self) -> None:
        """Begin to deliver, what an earlier life left first; called when the services' state has been restored."""
        threading.Thread(target=self._run, name="rule-targets", daemon=True).start()

    def accept(self, target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        """Take over one call of EventBridge's ``_invoke_target``; when this returns, the delivery is on disk."""
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
            if not self._done(number, delivery, inherited=False):
                self._held.append((number, delivery, False))

    def _done(self, number: int, delivery: Delivery, inherited: bool) -> bool:
        """Make one delivery or give it up; False if it is to be tried again.

        A target that is gone is gone, as in AWS, but what an earlier life accepted waits for the deploy that brings it
        back. An error of the emulator must lose nothing either.
        """
        too_old = time.time() - delivery.accepted_at > MAX_AGE_SECONDS
        try:
            contextvars.Context().run(self._in_scope, delivery)
        except TargetMissing as missing:
            if inherited and not too_old:
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
