"""The collector against a store in memory, read back with DuckDB."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from driftless.core.layout.lake import RECEIPTS
from driftless.errors import BadRequest, StoreUnavailable
from driftless.modelling.receipts import collected
from driftless.records import Ref
from driftless.serving.collector import Collect, Collected, CollectRequest, Compressed
from driftless.testing.memory import MemoryStore
from tests.unit.modelling.projects import definition

PROJECTS = {"demo": definition(), "sums": definition("regression", "sums")}


def line(number: int, project: str = "demo", **fields: Any) -> dict[str, Any]:
    output: dict[str, Any] = {"prediction": True, "probabilities": {"false": 0.25, "true": 0.75}}
    return {
        "kind": "prediction",
        "id": f"r{number}-0",
        "request_id": f"r{number}",
        "project": project,
        "time": "2026-03-01T12:00:00.123456+00:00",
        "event_time": "2013-05-01T23:30:00+00:00",
        "version": 3,
        "variant": "champion",
        "inputs": {"temp": None, "seats": 180, "origin": "JFK", "carrier": "Ä☃", "night": False},
        "output": output if project == "demo" else {"prediction": 2.5},
        "latency_us": 250,
        **fields,
    }


def batch(*messages: Any, kind: str = "DATA_MESSAGE") -> CollectRequest:
    events = [
        {"id": str(index), "timestamp": 1772366400000, "message": message if isinstance(message, str) else json.dumps(message)}
        for index, message in enumerate(messages)
    ]
    content = gzip.compress(json.dumps({"messageType": kind, "logGroup": "g", "logEvents": events}).encode())
    return CollectRequest(awslogs=Compressed(data=base64.b64encode(content).decode()))


def collect(store: Any, *messages: Any) -> Collected:
    return Collect(lake=store, projects=PROJECTS)(batch(*messages))


def rows(store: MemoryStore, key: str, folder: Path) -> list[dict[str, Any]]:
    store.download(key, folder / "read.parquet")
    with duckdb.connect() as connection:
        found = connection.read_parquet(str(folder / "read.parquet"))
        names = list(found.columns)
        return [dict(zip(names, row, strict=True)) for row in found.order("id").fetchall()]


def types(store: MemoryStore, key: str, folder: Path) -> dict[str, str]:
    store.download(key, folder / "types.parquet")
    with duckdb.connect() as connection:
        found = connection.read_parquet(str(folder / "types.parquet"))
        return dict(zip(found.columns, map(str, found.types), strict=True))


def test_lines_become_typed_rows(tmp_path: Path) -> None:
    store = MemoryStore()
    record = collect(store, line(1), line(2))
    (key,) = record.objects
    assert key.startswith("predictions/demo/day=2013-05-01/") and key.endswith(".parquet")
    first, _ = rows(store, key, tmp_path)
    assert (first["id"], first["prediction"], first["score"], first["p_false"], first["p_true"]) == (
        "r1-0",
        "true",
        0.75,
        0.25,
        0.75,
    )
    assert str(first["time"]) == "2026-03-01 12:00:00.123456"
    assert str(first["event_time"]) == "2013-05-01 23:30:00"
    assert (first["input_temp"], first["input_seats"], first["input_carrier"], first["input_night"]) == (None, 180.0, "Ä☃", False)
    assert "input_name" not in first, "personal data has no column"
    found = types(store, key, tmp_path)
    assert (found["input_temp"], found["input_night"], found["input_carrier"]) == ("DOUBLE", "BOOLEAN", "VARCHAR")
    assert (found["time"], found["version"]) == ("TIMESTAMP", "BIGINT")


def test_columns_keep_their_types_when_every_value_is_null(tmp_path: Path) -> None:
    store = MemoryStore()
    inputs = {"temp": None, "seats": None, "origin": None, "carrier": None, "night": None}
    (key,) = collect(store, line(1, inputs=inputs)).objects
    found = types(store, key, tmp_path)
    assert (found["input_temp"], found["input_night"], found["input_origin"]) == ("DOUBLE", "BOOLEAN", "VARCHAR")


def test_a_batch_is_split_by_project_and_day(tmp_path: Path) -> None:
    store = MemoryStore()
    offset = line(3, event_time="2013-05-02T01:00:00+02:00")
    record = collect(store, line(1), line(2, event_time=None), offset, line(4, "sums"))
    assert sorted(key.rsplit("/", 1)[0] for key in record.objects) == [
        "predictions/demo/day=2013-05-01",
        "predictions/demo/day=2026-03-01",
        "predictions/sums/day=2013-05-01",
    ]
    assert record.predictions == 4
    regression = next(key for key in record.objects if "sums" in key)
    (row,) = rows(store, regression, tmp_path)
    assert (row["score"], row["prediction"]) == (2.5, "2.5")


def receipts(store: MemoryStore) -> list[str]:
    """Project, day, minute and count of each receipt."""
    return [key.removeprefix(RECEIPTS).rsplit("-", 1)[0] for key in store.list(RECEIPTS)]


def test_a_batch_delivered_again_overwrites_itself(tmp_path: Path) -> None:
    store = MemoryStore()
    first = collect(store, line(1), line(2))
    again = collect(store, line(2), line(1))
    assert first.objects == again.objects == [key for key in store.list("") if not key.startswith(RECEIPTS)]
    assert receipts(store) == ["demo/day=2026-03-01/1200-2"]
    assert len(rows(store, first.objects[0], tmp_path)) == 2


def test_a_line_twice_in_a_batch_is_one_row(tmp_path: Path) -> None:
    store = MemoryStore()
    record = collect(store, line(1), line(1))
    assert (record.predictions, record.repeated) == (1, 1)
    assert len(rows(store, record.objects[0], tmp_path)) == 1


def test_receipts_count_the_stored_predictions_of_each_minute() -> None:
    store, later = MemoryStore(), {"time": "2026-03-01T13:01:59.999999+01:00"}
    bad = line(5, version=10**30)
    collect(store, line(1), line(1), line(2, event_time=None), line(3, **later), line(4, "sums"), bad, "{not json")
    assert receipts(store) == ["demo/day=2026-03-01/1200-3", "demo/day=2026-03-01/1201-1", "sums/day=2026-03-01/1200-1"]
    day = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert collected(store, "demo", day, day + timedelta(minutes=1)) == {day: 3}
    collect(store, line(6), line(7))
    both = {day: 5, day + timedelta(minutes=1): 1}
    assert collected(store, "demo", day - timedelta(days=1), day + timedelta(days=1)) == both


def test_a_log_event_twice_in_a_batch_is_one_prediction() -> None:
    event = {"id": "7", "timestamp": 1772366400000, "message": json.dumps(line(1))}
    content = gzip.compress(json.dumps({"messageType": "DATA_MESSAGE", "logEvents": [event, event]}).encode())
    request = CollectRequest(awslogs=Compressed(data=base64.b64encode(content).decode()))
    store = MemoryStore()
    record = Collect(lake=store, projects=PROJECTS)(request)
    assert (record.predictions, record.repeated) == (1, 0)
    assert receipts(store) == ["demo/day=2026-03-01/1200-1"]


def test_an_id_used_for_other_inputs_loses_neither_prediction(tmp_path: Path) -> None:
    store = MemoryStore()
    record = collect(store, line(1), line(1, inputs={"temp": 5.0}), line(1, version=4))
    assert (record.predictions, record.repeated, record.unreadable) == (1, 1, 1)
    (row,) = rows(store, next(key for key in record.objects if "_unreadable" not in key), tmp_path)
    assert (row["input_seats"], row["version"]) == (180.0, 4), "sent again it may meet a new model"
    (key,) = store.list("predictions/_unreadable/")
    kept = json.loads(store.get(key))
    assert kept["reason"] == "id: r1-0 names a prediction of other inputs"
    assert json.loads(kept["line"])["inputs"] == {"temp": 5.0}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{not json", "line"),
        (json.dumps({"kind": "prediction"}), "id"),
        (json.dumps(line(9, project="nobody")), "project: nobody"),
        (json.dumps(line(9, inputs={"temp": "warm"})), "inputs.temp"),
        (json.dumps(line(9, inputs={"night": 1})), "inputs.night"),
        (json.dumps(line(9, inputs={"origin": 1.5})), "inputs.origin"),
        (json.dumps(line(9, inputs={"temp": float("inf")})), "inputs.temp"),
        (json.dumps(line(9, inputs={"seats": 10**400})), "inputs.seats"),
        (json.dumps(line(9, inputs={"retired": float("nan")})), "inputs.retired"),
        (json.dumps(line(9, output={})), "output.prediction"),
        (json.dumps(line(9, output={"prediction": None})), "output.prediction"),
        (json.dumps(line(9, output={"prediction": "late"})), "output or time: could not convert"),
        (json.dumps(line(9, "sums", output={"prediction": float("inf")})), "output.prediction"),
        (json.dumps(line(9, output={"prediction": True, "probabilities": [0.5, 0.5]})), "output.probabilities"),
        (json.dumps(line(9, output={"prediction": True, "probabilities": {"true": "high"}})), "output.probabilities.true"),
        (json.dumps(line(9, output={"prediction": True, "probabilities": {"true": float("nan")}})), "output.probabilities.true"),
        (json.dumps(line(9, output={"prediction": "a", "probabilities": {"a": 0.5, "A": 0.5}})), "line: "),
        (json.dumps(line(9, inputs={"retired": 1, "Retired": 2})), "line: "),
        (json.dumps(line(9, version=10**30)), "line: "),
        (json.dumps(line(9, latency_us=2**63)), "line: "),
        (json.dumps(line(9, event_time="0001-01-01T00:00:00+14:00")), "output or time"),
    ],
)
def test_an_unreadable_line_is_set_aside_and_the_others_are_collected(bad: str, reason: str) -> None:
    store = MemoryStore()
    record = collect(store, line(1), bad)
    assert (record.predictions, record.unreadable) == (1, 1)
    (key,) = store.list("predictions/_unreadable/day=2026-03-01/")
    kept = json.loads(store.get(key))
    assert kept["line"] == bad
    assert kept["reason"].startswith(reason)


@pytest.mark.parametrize(
    "other",
    ["START RequestId: 1 Version: 7", "", json.dumps({"kind": "label"}), json.dumps({"_aws": {}}), json.dumps({"level": "INFO"})],
)
def test_a_line_that_the_filter_does_not_forward_is_ignored(other: str) -> None:
    store = MemoryStore()
    record = collect(store, line(1), other)
    assert (record.predictions, record.unreadable) == (1, 0)
    assert store.list("predictions/_unreadable/") == []


def test_among_many_lines_only_the_one_that_cannot_be_converted_is_set_aside(tmp_path: Path) -> None:
    store = MemoryStore()
    bad = line(5, version=10**30)
    record = collect(store, *(line(number) for number in range(5)), bad, *(line(number) for number in range(6, 30)))
    assert (record.predictions, record.unreadable) == (29, 1)
    objects = [key for key in record.objects if "_unreadable" not in key]
    found = [row["id"] for key in objects for row in rows(store, key, tmp_path)]
    assert sorted(found) == sorted(f"r{number}-0" for number in range(30) if number != 5)
    assert len(objects) <= 5, "halving, not one by one"
    assert collect(store, *(line(number) for number in range(5)), bad, *(line(number) for number in range(6, 30))) == record
    assert receipts(store) == ["demo/day=2026-03-01/1200-29"]


def test_lines_that_only_disagree_with_each_other_are_all_kept(tmp_path: Path) -> None:
    """Classes of two versions that differ by case; a feature of the past that was a number once and text then."""
    store = MemoryStore()
    upper, lower = ({"prediction": name, "probabilities": {name: 1.0}} for name in "Aa")
    mixed = [line(3, inputs={"retired": 1}), line(4, inputs={"retired": "one"})]
    record = collect(store, line(1, output=upper), line(2, output=lower), *mixed)
    assert (record.predictions, record.unreadable) == (4, 0)
    assert sorted(row["id"] for key in record.objects for row in rows(store, key, tmp_path)) == ["r1-0", "r2-0", "r3-0", "r4-0"]


def test_too_little_memory_is_not_a_fault_of_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: Any, **__: Any) -> None:
        raise duckdb.OutOfMemoryException("no")

    monkeypatch.setattr(duckdb.DuckDBPyConnection, "read_json", exhausted, raising=True)
    store = MemoryStore()
    with pytest.raises(duckdb.OutOfMemoryException):
        collect(store, line(1), line(2))
    assert store.list("") == []


def test_inputs_of_a_feature_that_is_no_longer_defined_are_kept(tmp_path: Path) -> None:
    store = MemoryStore()
    extra = line(1, inputs={"temp": 1.0, "retired": 7, "gone": "x", "flag": True})
    (key,) = collect(store, extra, line(2)).objects
    first, second = rows(store, key, tmp_path)
    assert (first["input_retired"], first["input_gone"], first["input_flag"]) == (7.0, "x", True)
    assert second["input_retired"] is None


def test_a_control_message_writes_nothing() -> None:
    store = MemoryStore()
    record = Collect(lake=store, projects=PROJECTS)(batch("ping", kind="CONTROL_MESSAGE"))
    assert record == Collected(predictions=0, repeated=0, unreadable=0, objects=[])
    assert store.list("") == []


@pytest.mark.parametrize(
    "data",
    ["%%%", base64.b64encode(b"plain").decode(), base64.b64encode(gzip.compress(b"[]")).decode()],
    ids=["not base64", "not gzip", "not an event"],
)
def test_an_event_of_another_kind_is_refused(data: str) -> None:
    with pytest.raises(BadRequest):
        Collect(lake=MemoryStore(), projects=PROJECTS)(CollectRequest(awslogs=Compressed(data=data)))


class _FailsOnce(MemoryStore):
    """Refuses the first write."""

    failures = 1

    def put(self, key: str, content: bytes, *, content_type: str = "application/octet-stream", if_absent: bool = False) -> Ref:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the store is away")
        return super().put(key, content, content_type=content_type, if_absent=if_absent)


def test_a_failed_write_raises_after_the_others_and_a_retry_completes() -> None:
    store = _FailsOnce()
    messages = (line(1), line(2, event_time=None), line(3, "sums"))
    with pytest.raises(StoreUnavailable):
        collect(store, *messages)
    assert len(store.list("predictions/")) == 2, "and no receipt: not everything is there"
    complete = collect(store, *messages)
    assert [key for key in store.list("predictions/") if not key.startswith(RECEIPTS)] == complete.objects
    assert receipts(store) == ["demo/day=2026-03-01/1200-2", "sums/day=2026-03-01/1200-1"]
    assert len(complete.objects) == 3
