"""The contract of the Registry port, run against memory and DynamoDB."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from driftless.adapters.dynamodb import DynamoItems
from driftless.adapters.items import Items, Write
from driftless.adapters.registry import TableRegistry
from driftless.errors import BadRequest, Conflict, IllegalMove, IntegrityError, NotFound
from driftless.records import (
    Endpoint,
    IngestFacts,
    ModelVersion,
    RetrainDecision,
    Run,
    RunFacts,
    TableVersion,
    WindowFacts,
)
from driftless.testing.memory_registry import MemoryItems

START = datetime(2026, 1, 1, tzinfo=UTC)


def run(run_id: str = "run-1", project: str = "flights") -> Run:
    return Run(run_id=run_id, execution_arn=f"arn:{run_id}", project=project, reason="manual")


def version(number: int, *, project: str = "flights", run_id: str | None = None, **changes: Any) -> ModelVersion:
    fields: dict[str, Any] = {
        "project": project,
        "version": number,
        "run_id": run_id or f"run-{number}",
        "created_at": START,
        "source": f"models/{project}/{number}/",
        "manifest_sha256": f"{number:064x}",
        "signing_key": "f" * 64,
        "decision": "promote",
        "metrics": {"log_loss": 0.1 + 0.2},
    }
    return ModelVersion(**{**fields, **changes})


def champion(number: int) -> Any:
    return lambda now: now.model_copy(update={"champion": number, "challenger": None, "challenger_weight": 0.0})


# -- runs -----------------------------------------------------------------------------------------------------------


def test_a_run_gathers_facts_and_keeps_its_first_time(registry: TableRegistry) -> None:
    registry.record_run(run(), RunFacts(decision="refuse", version=10))
    first = registry.run("flights", "run-1")
    registry.record_run(run(), RunFacts(decision="promote"))
    assert registry.run("flights", "run-1") == first.model_copy(update={"decision": "promote"})
    assert (first.run_id, first.execution_arn, first.version) == ("run-1", "arn:run-1", 10)
    assert first.recorded_at == START + timedelta(seconds=1)


def test_the_same_facts_again_write_nothing(registry: TableRegistry, items: Items) -> None:
    registry.record_run(run(), RunFacts(version=10))
    (before,) = items.query("flights#runs")
    registry.record_run(run(), RunFacts(version=10))
    (after,) = items.query("flights#runs")
    assert after == before


def test_runs_are_listed_newest_first_by_project(registry: TableRegistry) -> None:
    for name in ("b", "a", "c"):
        registry.record_run(run(name), RunFacts())
    registry.record_run(run("other", "cricket"), RunFacts())
    registry.record_run(run("b"), RunFacts(decision="promote"))
    assert [entry.run_id for entry in registry.runs("flights")] == ["c", "a", "b"]
    assert [entry.run_id for entry in registry.runs("flights", limit=2)] == ["c", "a"]
    assert [entry.run_id for entry in registry.runs("cricket")] == ["other"]


def test_an_unrecorded_run_is_not_found(registry: TableRegistry) -> None:
    with pytest.raises(NotFound, match="flights has no run run-9"):
        registry.run("flights", "run-9")


def test_numbers_are_read_as_written(registry: TableRegistry) -> None:
    numbers = {"a": 0.1 + 0.2, "b": 1e-200, "c": 1e200, "d": 1.0, "e": 1, "f": -0.0, "g": 2**70, "h": 5e-324, "i": True}
    registry.record_run(run(), RunFacts(parameters=numbers))
    found = registry.run("flights", "run-1").parameters
    assert {name: repr(found[name]) for name in numbers} == {name: repr(value) for name, value in numbers.items()}


def test_numbers_that_json_lacks_become_null(registry: TableRegistry) -> None:
    registry.record_run(run(), RunFacts(metrics={"auc": float("nan"), "mae": float("inf")}))
    assert registry.run("flights", "run-1").metrics == {"auc": None, "mae": None}


# -- pinned data versions -------------------------------------------------------------------------------------------


def test_the_first_pin_of_data_versions_decides(registry: TableRegistry) -> None:
    pinned = [TableVersion(dataset="flights", table="tables/flights/flights", version=3, rows=10)]
    assert registry.tables(run()) is None
    registry.record_tables(run(), pinned)
    registry.record_tables(run(), pinned)
    with pytest.raises(Conflict, match="run-1 is already pinned"):
        registry.record_tables(run(), [pinned[0].model_copy(update={"version": 4})])
    assert registry.tables(run()) == pinned


# -- versions -------------------------------------------------------------------------------------------------------


def test_a_run_gets_one_version_number(registry: TableRegistry) -> None:
    assert [registry.reserve_version("flights", name) for name in ("a", "b", "a", "c", "b")] == [1, 2, 1, 3, 2]
    assert registry.reserve_version("cricket", "a") == 1


def test_registering_again_returns_the_registered_version(registry: TableRegistry) -> None:
    first = registry.create_version(version(1))
    again = registry.create_version(version(1, created_at=START + timedelta(days=1)))
    assert again == first == registry.version("flights", 1)
    assert [event.action for event in registry.audit("flights")] == ["register"]


def test_a_version_of_another_run_is_not_overwritten(registry: TableRegistry) -> None:
    registry.create_version(version(1))
    with pytest.raises(Conflict, match="version 1 of flights belongs to run run-1"):
        registry.create_version(version(1, run_id="run-other"))
    assert registry.version("flights", 1).run_id == "run-1"


def test_versions_are_listed_newest_first(registry: TableRegistry) -> None:
    for number in (1, 2, 10, 9):
        registry.create_version(version(number))
    assert [entry.version for entry in registry.versions("flights")] == [10, 9, 2, 1]
    with pytest.raises(NotFound, match="no registered version 3"):
        registry.version("flights", 3)


# -- endpoint -------------------------------------------------------------------------------------------------------


def test_a_new_project_has_no_champion(registry: TableRegistry) -> None:
    endpoint = registry.endpoint("flights")
    assert (endpoint.revision, endpoint.champion, endpoint.challenger) == (0, None, None)
    assert registry.endpoint("flights") == endpoint


def test_a_move_writes_endpoint_aliases_and_audit_together(registry: TableRegistry) -> None:
    registry.create_version(version(1))
    registry.create_version(version(2))
    registry.move_endpoint("flights", champion(1), actor="ann", action="promote")
    moved = registry.move_endpoint(
        "flights",
        lambda now: now.model_copy(update={"challenger": 2, "challenger_weight": 0.1}),
        actor="run/run-2",
        action="canary",
        reasons=["step 1 of 2"],
    )
    assert moved == registry.endpoint("flights")
    assert (moved.revision, moved.champion, moved.challenger, moved.challenger_weight) == (2, 1, 2, 0.1)
    assert moved.manifests == {"1": f"{1:064x}", "2": f"{2:064x}"}
    assert registry.alias("flights", "champion").version == 1
    assert registry.alias("flights", "challenger").version == 2
    last = registry.audit("flights")[-1]
    assert (last.actor, last.action, last.sequence) == ("run/run-2", "canary", 4)
    assert last.detail["reasons"] == ["step 1 of 2"]
    assert Endpoint.model_validate(last.detail["after"]) == moved
    assert last.detail["before"]["challenger"] is None


def test_an_alias_without_a_version_is_not_found(registry: TableRegistry) -> None:
    registry.create_version(version(1))
    registry.create_version(version(2))
    registry.move_endpoint("flights", champion(1), actor="ann", action="promote")
    challenge = {"challenger": 2, "challenger_weight": 0.5}
    registry.move_endpoint("flights", lambda now: now.model_copy(update=challenge), actor="ann", action="canary")
    registry.move_endpoint("flights", champion(2), actor="ann", action="promote")
    assert registry.alias("flights", "champion").version == 2
    with pytest.raises(NotFound, match="flights has no challenger"):
        registry.alias("flights", "challenger")


def test_a_decision_to_leave_it_writes_nothing(registry: TableRegistry) -> None:
    registry.create_version(version(1))
    first = registry.move_endpoint("flights", champion(1), actor="ann", action="promote")
    assert registry.move_endpoint("flights", lambda now: None, actor="ann", action="promote") == first
    assert registry.move_endpoint("flights", champion(1), actor="ann", action="promote") == first
    assert len(registry.audit("flights")) == 2


def test_what_a_decision_raises_passes(registry: TableRegistry) -> None:
    def refuse(now: Endpoint) -> Endpoint:
        raise IllegalMove("no")

    with pytest.raises(IllegalMove, match="no"):
        registry.move_endpoint("flights", refuse, actor="ann", action="promote")
    assert registry.audit("flights") == []


def test_only_registered_versions_may_serve(registry: TableRegistry) -> None:
    with pytest.raises(NotFound, match="no registered version 7"):
        registry.move_endpoint("flights", champion(7), actor="ann", action="promote")
    assert registry.endpoint("flights").revision == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"champion": None}, "cannot lose its champion"),
        ({"challenger": 1, "challenger_weight": 0.1}, "champion and challenger at once"),
        ({"challenger": 2, "challenger_weight": 1.5}, "not between 0 and 1"),
        ({"challenger": 2, "challenger_weight": float("nan")}, "not between 0 and 1"),
        ({"challenger_weight": 0.1}, "without a challenger"),
    ],
)
def test_an_invalid_endpoint_is_refused(registry: TableRegistry, change: dict[str, Any], reason: str) -> None:
    registry.create_version(version(1))
    registry.create_version(version(2))
    before = registry.move_endpoint("flights", champion(1), actor="ann", action="promote")
    with pytest.raises(IllegalMove, match=reason):
        registry.move_endpoint("flights", lambda now: now.model_copy(update=change), actor="ann", action="promote")
    assert registry.endpoint("flights") == before


# -- audit ----------------------------------------------------------------------------------------------------------


def erase(items: Items, partition: str, sort: str) -> None:
    """Delete an item behind the registry's back: no port can."""
    if isinstance(items, DynamoItems):
        items._client.delete_item(TableName=items.table, Key={"pk": {"S": partition}, "sk": {"S": sort}})
    else:
        assert isinstance(items, MemoryItems)
        del items._rows[partition, sort]


@pytest.mark.parametrize("tampering", ["alter", "drop", "truncate"])
def test_a_chain_that_was_tampered_with_does_not_verify(registry: TableRegistry, items: Items, tampering: str) -> None:
    for number in (1, 2, 3):
        registry.create_version(version(number))
    rows = list(items.query("flights#audit", prefix="event#"))
    if tampering == "alter":
        forged = {**rows[1], "record": str(rows[1]["record"]).replace('"promote"', '"refuse"')}
        items.transact([Write("flights#audit", "event#0000000002", forged)])
    else:
        gone = {"drop": 2, "truncate": 3}[tampering]
        erase(items, "flights#audit", f"event#{gone:010d}")
    with pytest.raises(IntegrityError, match=r"altered|missing|ends at event 2"):
        registry.audit("flights")


# -- monitoring, retraining, ingestion ------------------------------------------------------------------------------


def test_a_monitoring_report_is_kept_by_its_window(registry: TableRegistry) -> None:
    for day in (3, 1, 2):
        registry.record_monitoring("flights", START + timedelta(days=day), WindowFacts(labels=day))
    registry.record_monitoring("flights", START + timedelta(days=1), WindowFacts(labels=100))
    assert [report.labels for report in registry.monitoring("flights")] == [3, 2, 100]
    newest = registry.monitoring("flights", limit=1)[0]
    assert newest.window_end == START + timedelta(days=3)


def decision(number: int, *, retrain: bool = True) -> RetrainDecision:
    return RetrainDecision(
        project="flights",
        reason="harm",
        retrain=retrain,
        reasons=[f"decision {number}"],
        run_id=f"retrain-flights-{number}" if retrain else None,
        decided_at=START + timedelta(hours=number),
    )


def test_an_event_is_decided_once(registry: TableRegistry) -> None:
    seen: list[int] = []

    def decide(number: int) -> Any:
        def inner(earlier: Any) -> RetrainDecision:
            seen.append(len(earlier))
            return decision(number)

        return inner

    assert registry.record_retrain("flights", "event-1", decide(1)) == decision(1)
    assert registry.record_retrain("flights", "event-1", decide(2)) == decision(1)
    assert registry.record_retrain("flights", "event-2", decide(3)) == decision(3)
    assert seen == [0, 1]
    assert registry.retrains("flights") == [decision(3), decision(1)]
    assert registry.retrains("flights", limit=1) == [decision(3)]


def test_two_events_at_once_are_decided_one_after_the_other(registry: TableRegistry) -> None:
    looks: list[int] = []

    def slow(earlier: Any) -> RetrainDecision:
        looks.append(len(earlier))
        if len(looks) == 1:
            registry.record_retrain("flights", "event-fast", lambda nobody: decision(1))
        return decision(2, retrain=not earlier)

    assert registry.record_retrain("flights", "event-slow", slow).retrain is False
    assert looks == [0, 1]


def test_an_ingest_is_listed_once_newest_first(registry: TableRegistry) -> None:
    for delta_version in (1, 2, 1):
        registry.record_ingest("flights", "weather", IngestFacts(version=delta_version, rows=5))
    registry.record_ingest("flights", "flights", IngestFacts(version=1, rows=9))
    assert [entry.version for entry in registry.ingests("flights", "weather")] == [2, 1]
    assert [entry.rows for entry in registry.ingests("flights", "flights")] == [9]


# -- limits ---------------------------------------------------------------------------------------------------------


def test_an_item_over_400_kb_is_refused_by_name(registry: TableRegistry) -> None:
    registry.record_run(run(), RunFacts(evaluation="small"))
    with pytest.raises(BadRequest, match=r"registry item flights#runs .* the limit is 409600"):
        registry.record_run(run(), RunFacts(evaluation="ü" * 205_000))
    assert registry.run("flights", "run-1").evaluation == "small"


def test_lists_longer_than_a_page_are_whole(registry: TableRegistry) -> None:
    for number in range(8):
        registry.record_run(run(f"run-{number}"), RunFacts(evaluation="x" * 300_000))
    assert [entry.run_id for entry in registry.runs("flights")] == [f"run-{number}" for number in range(7, -1, -1)]
    assert [entry.run_id for entry in registry.runs("flights", limit=5)] == [f"run-{number}" for number in range(7, 2, -1)]
