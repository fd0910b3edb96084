"""Contenders for one endpoint: whatever the interleaving, one champion, no lost move, an unbroken chain.

Interleavings are chosen by a seeded scheduler that lets one contender at a time take one step (a read, a query or a transaction)
of the table in memory. On DynamoDB real threads contend, each call of moto under a lock (its transactions are not safe under
threads).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from driftless.adapters.dynamodb import DynamoItems, DynamoRegistry
from driftless.adapters.items import Absent, Write
from driftless.adapters.registry import TableRegistry
from driftless.errors import BadRequest, Conflict, StoreUnavailable, Throttled
from driftless.records import Endpoint, ModelVersion, RunFacts
from driftless.testing.memory_registry import MemoryItems

from .conftest import Ticks
from .contention import contend
from .test_contract import champion, run, version


def rotate(options: list[int]) -> Callable[[Endpoint], Endpoint]:
    """A move that depends on what is there: the champion steps aside for the next version, and is remembered."""

    def decide(now: Endpoint) -> Endpoint:
        following = options[(options.index(now.champion) + 1) % len(options)] if now.champion is not None else options[0]
        return now.model_copy(update={"champion": following, "previous_champion": now.champion})

    return decide


def assert_whole(registry: TableRegistry, moves: int, versions: int) -> None:
    """One champion, every move in the chain exactly once, each starting where the one before ended."""
    endpoint = registry.endpoint("flights")
    assert endpoint.revision == moves
    assert registry.alias("flights", "champion").version == endpoint.champion
    events = [event for event in registry.audit("flights") if event.action == "promote"]
    assert [event.detail["after"]["revision"] for event in events] == list(range(1, moves + 1))
    champions = [event.detail["after"]["champion"] for event in events]
    assert champions == [1 + move % versions for move in range(moves)]
    for earlier, later in pairwise(events):
        assert later.detail["before"] == earlier.detail["after"]


@pytest.mark.parametrize("seed", range(25))
def test_no_interleaving_loses_a_move_or_makes_a_second_champion(seed: int) -> None:
    items = MemoryItems()
    plain = TableRegistry(items, clock=Ticks())
    for number in (1, 2, 3):
        plain.create_version(version(number))

    def work(registry: TableRegistry, contender: int) -> None:
        for _ in range(3):
            registry.move_endpoint("flights", rotate([1, 2, 3]), actor=f"contender {contender}", action="promote")

    lost = contend(seed, items, work, contenders=3)
    assert lost > 0, "an interleaving without a lost race proves nothing"
    assert_whole(plain, moves=9, versions=3)


@pytest.mark.parametrize("seed", range(15))
def test_registrations_and_moves_share_one_chain(seed: int) -> None:
    items = MemoryItems()
    plain = TableRegistry(items, clock=Ticks())
    plain.create_version(version(1, run_id="run-0"))
    plain.move_endpoint("flights", champion(1), actor="ann", action="promote")
    made: dict[int, ModelVersion] = {}

    def work(registry: TableRegistry, contender: int) -> None:
        number = 1 + registry.reserve_version("flights", f"run-{contender}")
        made[contender] = registry.create_version(version(number, run_id=f"run-{contender}"))
        registry.move_endpoint("flights", champion(number), actor=f"contender {contender}", action="promote")

    assert contend(seed, items, work, contenders=4) > 0
    assert sorted(entry.version for entry in made.values()) == [2, 3, 4, 5]
    actions = [event.action for event in plain.audit("flights")]
    assert sorted(actions) == ["promote"] * 5 + ["register"] * 5
    assert plain.endpoint("flights").revision == 5


def test_one_run_registering_twice_at_once_makes_one_version() -> None:
    items = MemoryItems()
    plain = TableRegistry(items, clock=Ticks())
    for seed in range(15):
        created: list[tuple[int, ModelVersion]] = []

        def work(registry: TableRegistry, contender: int, seed: int = seed, created: list[Any] = created) -> None:
            number = registry.reserve_version("flights", f"run-{seed}")
            created.append((number, registry.create_version(version(number, run_id=f"run-{seed}"))))

        contend(seed, items, work, contenders=3)
        assert created == [created[0]] * 3
    assert [entry.version for entry in plain.versions("flights")] == list(range(15, 0, -1))
    assert len(plain.audit("flights")) == 15


@pytest.mark.parametrize("seed", range(15))
def test_facts_of_one_run_recorded_at_once_are_all_kept(seed: int) -> None:
    items = MemoryItems()

    facts = (RunFacts(version=1), RunFacts(evaluation="key"), RunFacts(decision="refuse"), RunFacts(reasons=["worse"]))

    def work(registry: TableRegistry, contender: int) -> None:
        registry.record_run(run(), facts[contender])

    contend(seed, items, work, contenders=4)
    (found,) = TableRegistry(items).runs("flights")
    assert (found.version, found.evaluation, found.decision, found.reasons) == (1, "key", "refuse", ["worse"])


class Serial:
    """A client whose calls run one at a time."""

    def __init__(self, client: Any) -> None:
        self._client, self._lock = client, threading.Lock()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            with self._lock:
                return getattr(self._client, name)(**arguments)

        return call


def test_threads_on_dynamodb_leave_one_champion_and_every_move(dynamodb: Any) -> None:
    registry = DynamoRegistry("registry", client=Serial(dynamodb))
    for number in (1, 2, 3):
        registry.create_version(version(number))

    def move(contender: int) -> Endpoint:
        return registry.move_endpoint("flights", rotate([1, 2, 3]), actor=f"contender {contender}", action="promote")

    with ThreadPoolExecutor(8) as pool:
        revisions = sorted(endpoint.revision for endpoint in pool.map(move, range(24)))
    assert revisions == list(range(1, 25))
    assert_whole(registry, moves=24, versions=3)


def test_a_lost_race_decides_again_on_what_the_winner_left(registry: TableRegistry) -> None:
    for number in (1, 2, 3):
        registry.create_version(version(number))
    registry.move_endpoint("flights", champion(1), actor="ann", action="promote")
    seen: list[int | None] = []

    def slow(now: Endpoint) -> Endpoint:
        seen.append(now.champion)
        if len(seen) == 1:
            registry.move_endpoint("flights", champion(2), actor="bob", action="promote")
        return now.model_copy(update={"champion": 3, "previous_champion": now.champion})

    moved = registry.move_endpoint("flights", slow, actor="ann", action="promote")
    assert seen == [1, 2]
    assert (moved.champion, moved.previous_champion, moved.revision) == (3, 2, 3)


def test_a_writer_that_loses_every_race_raises_a_conflict(registry: TableRegistry) -> None:
    for number in (1, 2):
        registry.create_version(version(number))
    registry.move_endpoint("flights", champion(1), actor="ann", action="promote")

    def robbed(now: Endpoint) -> Endpoint:
        other = 1 if now.champion == 2 else 2
        registry.move_endpoint("flights", champion(other), actor="bob", action="promote")
        return now.model_copy(update={"challenger": other, "challenger_weight": 0.5})

    with pytest.raises(Conflict, match="lost 60 races in a row"):
        registry.move_endpoint("flights", robbed, actor="ann", action="canary")
    assert registry.endpoint("flights").challenger is None


class Cancelling:
    """A client that cancels every transaction for the reasons given."""

    def __init__(self, code: str, reasons: list[str]) -> None:
        self._error = {
            "Error": {"Code": code, "Message": "cancelled"},
            "CancellationReasons": [{"Code": reason, "Message": f"because {reason}"} for reason in reasons],
            "ResponseMetadata": {"HTTPStatusCode": 500 if code == "InternalServerError" else 400},
        }

    def transact_write_items(self, **arguments: Any) -> None:
        raise ClientError(self._error, "TransactWriteItems")


@pytest.mark.parametrize(
    ("code", "reasons", "expected"),
    [
        ("TransactionCanceledException", ["None", "ConditionalCheckFailed"], Conflict),
        ("TransactionCanceledException", ["TransactionConflict", "None"], Conflict),
        ("TransactionCanceledException", ["ConditionalCheckFailed", "ThrottlingError"], Throttled),
        ("TransactionCanceledException", ["ConditionalCheckFailed", "ValidationError"], BadRequest),
        ("TransactionInProgressException", [], Conflict),
        ("ProvisionedThroughputExceededException", [], Throttled),
        ("InternalServerError", [], StoreUnavailable),
    ],
)
def test_a_refused_transaction_becomes_the_error_of_its_reasons(code: str, reasons: list[str], expected: type[Exception]) -> None:
    items = DynamoItems("registry", client=Cancelling(code, reasons))
    with pytest.raises(expected) as caught:
        items.transact([Write("flights#runs", "a", {"x": 1}, Absent())])
    assert type(caught.value) is expected
