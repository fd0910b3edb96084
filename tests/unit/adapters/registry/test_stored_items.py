"""Items as earlier releases wrote them are read, and items are written with the same attributes as before."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from driftless.adapters.items import Items, Write
from driftless.adapters.registry import TableRegistry
from driftless.records import (
    DatasetFacts,
    DeploymentFacts,
    IngestFacts,
    Ref,
    Run,
    RunFacts,
    Signal,
    WindowFacts,
)

FIRST = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
RUN = Run(run_id="run-1", execution_arn="arn:run-1", project="flights", reason="harm")
STORED_RUN = (
    '{"execution_arn":"arn:run-1","facts":{"dataset":{"features_digest":"f1","git_commit":"abc","holdout_end":'
    '"2013-07-01T00:00:00Z","holdout_rows":10,"train_end":"2013-06-01T00:00:00Z","train_rows":90,"train_start":'
    '"2013-01-01T00:00:00Z"},"decision":"promote","deployment":{"reasons":["nobody serves yet"],"status":"promoted","step":0},'
    '"evaluation":"runs/flights/run-1/evaluation/1.json","manifest_sha256":"aa","metrics":{"auc":null,"log_loss":0.5},'
    '"parameters":{"C":1,"l1_ratio":0.5},"reasons":["better"],"version":3},"project":"flights","reason":"harm",'
    '"recorded_at":"2026-01-01T00:00:01.000000Z","run_id":"run-1"}'
)
FACTS = RunFacts(
    dataset=DatasetFacts(
        features_digest="f1",
        train_rows=90,
        holdout_rows=10,
        train_start=datetime(2013, 1, 1, tzinfo=UTC),
        train_end=datetime(2013, 6, 1, tzinfo=UTC),
        holdout_end=datetime(2013, 7, 1, tzinfo=UTC),
        git_commit="abc",
    ),
    metrics={"log_loss": 0.5, "auc": float("nan")},
    decision="promote",
    reasons=["better"],
    parameters={"C": 1, "l1_ratio": 0.5},
    evaluation="runs/flights/run-1/evaluation/1.json",
    version=3,
    manifest_sha256="aa",
    deployment=DeploymentFacts(status="promoted", step=0, reasons=["nobody serves yet"]),
)
STORED_WINDOW = (
    '{"facts":{"drift_level":2,"harm_level":0,"labels":7,"labels_by_day":{"2013-06-30":7},"metrics":{"log_loss":0.5},'
    '"predictions":9,"raised":[{"level":2,"name":"temp","reason":"moved","statistic":"psi","threshold":0.2,"value":0.4}],'
    '"reference_metrics":{"log_loss":0.4},"report":{"key":"monitoring/flights/1.json","sha256":"bb","size":5},'
    '"still_raised":["drift"],"uncollected":1,"version":3,"window_drift_level":2,"window_harm_level":1,'
    '"window_start":"2013-06-01T00:00:00Z"},"project":"flights","recorded_at":"2026-01-01T00:00:01.000000Z",'
    '"window_end":"2013-07-01T00:00:00.000000Z"}'
)
WINDOW = WindowFacts(
    version=3,
    window_start=datetime(2013, 6, 1, tzinfo=UTC),
    predictions=9,
    labels=7,
    drift_level=2,
    harm_level=0,
    window_drift_level=2,
    window_harm_level=1,
    metrics={"log_loss": 0.5},
    reference_metrics={"log_loss": 0.4},
    report=Ref(key="monitoring/flights/1.json", sha256="bb", size=5),
    uncollected=1,
    still_raised=["drift"],
    labels_by_day={"2013-06-30": 7},
    raised=[Signal(name="temp", level=2, statistic="psi", value=0.4, threshold=0.2, reason="moved")],
)
STORED_INGEST = (
    '{"dataset":"weather","facts":{"key":"flights/weather/a.csv","quarantined_rows":1,"report":"reports/a.json","rows":9,'
    '"sha256":"cc","table":"tables/flights/weather","version":4},"project":"flights",'
    '"recorded_at":"2026-01-01T00:00:01.000000Z"}'
)
INGEST = IngestFacts(
    table="tables/flights/weather",
    version=4,
    key="flights/weather/a.csv",
    sha256="cc",
    rows=9,
    quarantined_rows=1,
    report="reports/a.json",
)


def stored(items: Items, *rows: tuple[str, str, dict[str, Any]]) -> None:
    items.transact([Write(partition, sort, attributes) for partition, sort, attributes in rows])


def store_run(items: Items, record: str) -> None:
    listed = "2026-01-01T00:00:01.000000Z#run-1"
    stored(
        items,
        ("flights#run", "run-1", {"listed_as": listed}),
        ("flights#runs", listed, {"record": record, "revision": 1}),
    )


def test_a_run_of_an_earlier_release_is_read(registry: TableRegistry, items: Items) -> None:
    store_run(items, STORED_RUN)
    found = registry.run("flights", "run-1")
    assert registry.runs("flights") == [found]
    assert (found.run_id, found.execution_arn, found.project, found.reason) == ("run-1", "arn:run-1", "flights", "harm")
    assert found.recorded_at == FIRST
    assert (found.dataset, found.deployment, found.parameters) == (FACTS.dataset, FACTS.deployment, FACTS.parameters)
    assert (found.decision, found.version, found.metrics) == ("promote", 3, {"log_loss": 0.5, "auc": None})


def test_a_run_is_written_as_before(registry: TableRegistry, items: Items) -> None:
    registry.record_run(RUN, FACTS)
    (item,) = items.query("flights#runs")
    assert item == {"record": STORED_RUN, "revision": 1}


def test_a_run_that_only_started_holds_no_facts(registry: TableRegistry, items: Items) -> None:
    registry.record_run(RUN, RunFacts())
    (item,) = items.query("flights#runs")
    assert '"facts":{}' in str(item["record"])
    found = registry.run("flights", "run-1")
    assert (found.dataset, found.decision, found.metrics, found.deployment) == (None, None, {}, None)


def test_facts_of_another_release_are_ignored_and_kept(registry: TableRegistry, items: Items) -> None:
    added = STORED_RUN.replace('"status":"promoted"', '"share":1,"status":"promoted"').replace(
        '{"dataset"', '{"approved_by":"x","dataset"'
    )
    newer = added.replace('"reasons":["better"],', '"project":"other","reasons":["better"],"run_id":"y",')
    store_run(items, newer)
    found = registry.run("flights", "run-1")
    assert (found.project, found.run_id, found.decision) == ("flights", "run-1", "promote"), (
        "facts do not overwrite which run this is"
    )
    registry.record_run(RUN, RunFacts(decision="refuse"))
    (item,) = items.query("flights#runs")
    assert item["record"] == newer.replace('"promote"', '"refuse"')


def test_a_window_of_an_earlier_release_is_read_and_written_as_before(registry: TableRegistry, items: Items) -> None:
    stored(items, ("flights#monitoring", "2013-07-01T00:00:00.000000Z", {"record": STORED_WINDOW}))
    (found,) = registry.monitoring("flights")
    assert found == type(found)(project="flights", window_end=datetime(2013, 7, 1, tzinfo=UTC), recorded_at=FIRST, **dict(WINDOW))
    registry.record_monitoring("flights", datetime(2013, 7, 1, tzinfo=UTC), WINDOW)
    (item,) = items.query("flights#monitoring")
    assert item == {"record": STORED_WINDOW}


@pytest.mark.parametrize("facts", ['{"harm_level":2}', '{"harm_level":2,"quality":{"a":1},"raised":[]}'])
def test_a_window_with_fewer_or_more_facts_is_read(registry: TableRegistry, items: Items, facts: str) -> None:
    record = f'{{"facts":{facts},"project":"flights","recorded_at":"2026-01-01T00:00:01Z","window_end":"2013-07-01T00:00:00Z"}}'
    stored(items, ("flights#monitoring", "2013-07-01T00:00:00.000000Z", {"record": record}))
    (found,) = registry.monitoring("flights")
    assert (found.harm_level, found.window_harm_level, found.labels_by_day, found.version) == (2, 0, {}, None)


def test_an_ingest_of_an_earlier_release_is_read_and_not_listed_twice(registry: TableRegistry, items: Items) -> None:
    digest = sha256(json.dumps(json.loads(STORED_INGEST)["facts"], separators=(",", ":")).encode()).hexdigest()
    stored(
        items,
        ("flights#ingest#weather", f"facts#{digest}", {"recorded_at": "2026-01-01T00:00:01.000000Z"}),
        ("flights#ingest#weather", f"time#2026-01-01T00:00:01.000000Z#{digest}", {"record": STORED_INGEST}),
    )
    registry.record_ingest("flights", "weather", INGEST)
    (found,) = registry.ingests("flights", "weather")
    assert (found.dataset, found.recorded_at, found.version, found.rows) == ("weather", FIRST, 4, 9)


def test_an_ingest_is_written_as_before(registry: TableRegistry, items: Items) -> None:
    registry.record_ingest("flights", "weather", INGEST)
    (item,) = items.query("flights#ingest#weather", prefix="time#")
    assert item == {"record": STORED_INGEST}


def test_json_of_a_report_repeats_the_stored_times(registry: TableRegistry, items: Items) -> None:
    stored(items, ("flights#monitoring", "2013-07-01T00:00:00.000000Z", {"record": STORED_WINDOW}))
    shown = registry.monitoring("flights")[0].model_dump(mode="json", exclude_unset=True)
    assert shown["window_end"] == "2013-07-01T00:00:00.000000Z"
    assert shown["recorded_at"] == "2026-01-01T00:00:01.000000Z"
    assert "window_drift_level" in shown and set(shown) == {*WINDOW.model_fields_set, "project", "window_end", "recorded_at"}
