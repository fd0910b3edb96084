"""A new champion takes over within the refresh interval, whole or not at all."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from driftless.errors import AccessDenied, DriftlessError, StoreUnavailable
from driftless.testing.memory import MemoryStore
from tests.unit.modelling.models import DAY, Key, point, publish
from tests.unit.modelling.projects import FEATURES, RECORD, definition
from tests.unit.serving.inference.conftest import Serve, Served


class Watched(MemoryStore):
    """Counts reads, and fails when ``failure`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.failure: DriftlessError | None = None
        self.failing = ""

    def get(self, key: str) -> bytes:
        if self.failure is not None and self.failing in key:
            raise self.failure
        self.reads.append(key)
        return super().get(key)

    def get_if_changed(self, key: str, etag: str | None) -> tuple[bytes, str] | None:
        found = super().get_if_changed(key, etag)
        self.reads.append("changed" if found else "unchanged")
        return found


@pytest.fixture
def served(serve: Serve) -> Served:
    """Version 1 serves; version 2 is registered."""
    found = serve(store=Watched())
    digests = {number: publish(found.store, found.project, number, found.key, bias=number) for number in (1, 2)}
    point(found.store, found.project, digests, champion=1)
    assert version(found) == 1
    found.store.reads.clear()
    return found


def version(served: Served) -> int:
    status, body, _ = served.predict(RECORD)
    assert status == 200
    return int(body["model_version"])


def promote(served: Served, number: int, **fields: Any) -> None:
    digests = {number: publish(served.store, served.project, number, served.key, bias=number)} if number > 2 else {}
    for known in (1, 2):
        digests[known] = publish(served.store, served.project, known, served.key, bias=known)
    point(served.store, served.project, digests, champion=number, previous_champion=1, **fields)


def test_the_endpoint_is_not_read_again_before_its_time(served: Served) -> None:
    promote(served, 2)
    served.seconds[0] = 1.9
    assert version(served) == 1
    assert served.store.reads == []


def test_a_new_champion_serves_after_the_refresh_interval(served: Served) -> None:
    promote(served, 2)
    served.seconds[0] = 2.0
    assert version(served) == 2
    assert served.reports == []


def test_an_unchanged_endpoint_costs_one_conditional_read(served: Served) -> None:
    served.seconds[0] = 2.0
    assert version(served) == 1
    assert served.store.reads == ["serving/demo/endpoint.json", "unchanged"]


def test_a_rollback_needs_no_download(served: Served) -> None:
    promote(served, 2)
    served.seconds[0] = 2.0
    assert version(served) == 2
    point(served.store, served.project, {1: publish(served.store, served.project, 1, served.key, bias=1)}, champion=1)
    served.seconds[0] = 4.0
    manifests = [key for key in served.store.reads if key.startswith("models/")]
    assert version(served) == 1
    again = [key for key in served.store.reads if key.startswith("models/")][len(manifests) :]
    assert not any(key.startswith("models/demo/2") for key in again)


def test_an_unavailable_store_does_not_stop_serving(served: Served) -> None:
    promote(served, 2)
    served.store.failure = StoreUnavailable("away")
    served.seconds[0] = 2.0
    assert version(served) == 1
    assert [(name, facts["error"]) for name, facts in served.reports] == [("EndpointRefreshFailed", "StoreUnavailable")]
    served.store.failure = None
    served.seconds[0] = 4.0
    assert version(served) == 2


def test_a_model_that_cannot_be_read_now_is_tried_at_the_next_refresh(served: Served) -> None:
    promote(served, 2)
    served.store.failure, served.store.failing = StoreUnavailable("away"), "models/demo/2/model.onnx"
    served.seconds[0] = 2.0
    assert version(served) == 1
    assert [(name, facts["version"]) for name, facts in served.reports] == [("ModelRefused", 2)]
    served.store.failure = None
    served.seconds[0] = 4.0
    assert version(served) == 2


def test_a_broken_version_is_never_swapped_in(served: Served) -> None:
    promote(served, 2)
    served.store.put("models/demo/2/model.onnx", b"tampered")
    served.seconds[0] = 2.0
    assert version(served) == 1
    (report,) = served.reports
    assert report[0] == "ModelRefused"
    assert (report[1]["version"], report[1]["variant"], report[1]["error"]) == (2, "champion", "IntegrityError")
    served.seconds[0] = 4.0
    assert version(served) == 1
    assert len(served.reports) == 1, "it is not downloaded again at every refresh"
    promote(served, 2)
    served.seconds[0] = 70.0
    assert version(served) == 2, "but tried again after a minute"


def test_a_broken_version_is_replaced_when_the_endpoint_changes(served: Served) -> None:
    promote(served, 2)
    served.store.put("models/demo/2/model.onnx", b"tampered")
    served.seconds[0] = 2.0
    assert version(served) == 1
    promote(served, 3)
    served.seconds[0] = 4.0
    assert version(served) == 3


def test_a_version_of_an_untrusted_signer_is_refused(served: Served) -> None:
    intruder, elsewhere = Key(), MemoryStore()
    digest = publish(elsewhere, served.project, 9, intruder)
    for key in elsewhere.list("models/"):
        served.store.put(key, elsewhere.get(key))
    point(served.store, served.project, {9: digest}, champion=9)
    served.seconds[0] = 2.0
    assert version(served) == 1
    assert served.reports[0][1]["error"] == "SignatureInvalid"


def test_a_version_that_needs_features_the_project_lacks_is_refused(serve: Serve) -> None:
    columns = {name: column for name, column in FEATURES.items() if name != "seats"}
    served = serve(definition(features={"base": "events", "columns": columns}), Watched())
    point(served.store, served.project, {1: publish(served.store, definition(), 1, served.key)}, champion=1)
    record = {name: value for name, value in RECORD.items() if name != "seats"}
    status, problem, _ = served.predict(record)
    assert status == 503
    assert "there is no seats" in problem["detail"], "the client learns why no model serves"
    assert "seats" in served.reports[0][1]["reason"]


def test_a_version_fitted_on_another_type_of_a_feature_is_refused(serve: Serve) -> None:
    columns = {**FEATURES, "temp": {"type": "category", "nullable": True}}
    served = serve(definition(features={"base": "events", "columns": columns}), Watched())
    point(served.store, served.project, {1: publish(served.store, definition(), 1, served.key)}, champion=1)
    status, problem, _ = served.predict({**RECORD, "temp": "warm"})
    assert status == 503
    assert "temp is a category, it was fitted on a number" in problem["detail"]


@pytest.mark.parametrize("read", ["get_if_changed", "get"])
def test_the_wait_for_a_failing_store_begins_at_the_end_of_a_read_and_grows(served: Served, read: str) -> None:
    """Each read, of the endpoint or of a model, times out after eight seconds; requests in between must not wait."""
    promote(served, 2)
    looks: list[float] = []
    original = getattr(served.store, read)

    def slow(*_: object) -> None:
        looks.append(served.seconds[0])
        served.seconds[0] += 8.0
        raise StoreUnavailable("away")

    setattr(served.store, read, slow)
    served.seconds[0] = 2.0
    for _ in range(400):
        assert version(served) == 1
        served.seconds[0] += 0.5
    waits = [later - earlier - 8.0 for earlier, later in pairwise(looks)]
    assert waits[:3] == pytest.approx([2.0, 4.0, 8.0], abs=0.5)
    assert max(waits) <= 60.5
    setattr(served.store, read, original)
    served.seconds[0] += 61.0
    assert version(served) == 2


def test_an_endpoint_that_cannot_be_read_as_one_changes_nothing(served: Served) -> None:
    served.store.put("serving/demo/endpoint.json", b'{"champion": "two"}')
    served.seconds[0] = 2.0
    assert version(served) == 1
    assert served.reports[0][0] == "EndpointRefreshFailed"


def served_revision(served: Served) -> int:
    return int(served.call("GET", "/demo/model")[1]["revision"])


def test_a_late_writer_does_not_roll_serving_back(served: Served) -> None:
    promote(served, 2, revision=5, updated_at=DAY + timedelta(seconds=5))
    served.seconds[0] = 2.0
    assert (version(served), served_revision(served)) == (2, 5)
    promote(served, 1, revision=4, updated_at=DAY + timedelta(seconds=4))
    served.seconds[0] = 4.0
    assert (version(served), served_revision(served)) == (2, 5)
    ((name, facts),) = served.reports
    assert (name, facts["reason"]) == ("EndpointRefreshFailed", "the copy is of revision 4, revision 5 serves already")
    served.seconds[0] = 6.0
    assert version(served) == 2
    assert len(served.reports) == 1, "a stale copy that stays is reported once"
    promote(served, 1, revision=6, updated_at=DAY + timedelta(seconds=6))
    served.seconds[0] = 8.0
    assert version(served) == 1


def test_a_registry_restored_from_a_backup_is_followed(served: Served) -> None:
    promote(served, 2, revision=5, updated_at=DAY + timedelta(seconds=5))
    served.seconds[0] = 2.0
    assert version(served) == 2
    promote(served, 1, revision=4, updated_at=DAY + timedelta(seconds=60))
    served.seconds[0] = 4.0
    assert (version(served), served_revision(served)) == (1, 4)


def test_without_an_endpoint_the_response_says_when_to_retry(serve: Serve) -> None:
    served = serve()
    for path, method in (("/demo/predictions", "POST"), ("/demo/model", "GET")):
        status, problem, headers = served.call(method, path, {"records": [RECORD]} if method == "POST" else None)
        assert (status, problem["status"], headers["retry-after"]) == (503, 503, "5")
        assert headers["content-type"] == "application/problem+json"
    assert served.written == []
    point(served.store, served.project, {1: publish(served.store, served.project, 1, served.key)}, champion=1)
    served.seconds[0] = 2.0
    assert version(served) == 1


def test_without_permission_the_response_is_503_and_the_reason_is_reported(serve: Serve) -> None:
    served = serve(store=Watched())
    point(served.store, served.project, {1: publish(served.store, served.project, 1, served.key)}, champion=1)
    served.store.failure = AccessDenied("read")
    assert served.predict(RECORD)[0] == 503
    assert served.reports[0][1]["error"] == "AccessDenied"


def test_a_withdrawn_champion_serves_no_more(served: Served) -> None:
    point(served.store, served.project, {}, champion=None)
    served.seconds[0] = 2.0
    assert served.predict(RECORD)[0] == 503


def test_a_broken_challenger_leaves_all_traffic_to_the_champion(served: Served) -> None:
    promote(served, 1, challenger=2, challenger_weight=1.0)
    served.store.put("models/demo/2/interface.json", b"{}")
    served.seconds[0] = 2.0
    assert version(served) == 1
    assert served.reports[0][1]["variant"] == "challenger"
    assert served.call("GET", "/demo/model")[1]["challenger_weight"] == 0.0


def test_a_challenger_that_cannot_be_read_has_not_failed(served: Served) -> None:
    """A moment without the store is nothing against the model; one roll-back would be for good."""
    promote(served, 1, challenger=2, challenger_weight=1.0)
    served.store.failure, served.store.failing = StoreUnavailable("away"), "models/demo/2"
    served.seconds[0] = 2.0
    assert [version(served) for _ in range(10)] == [1] * 10
    assert not [line for line in served.lines(None) if line.get("PredictionErrors")]
    served.store.failure = None
    served.seconds[0] = 4.0
    assert version(served) == 2


def test_a_challenger_that_cannot_be_loaded_fails_its_rollout(served: Served) -> None:
    """The champion predicts instead, and the challenger's failures are counted: no errors would promote it."""
    promote(served, 1, challenger=2, challenger_weight=0.5)
    served.store.put("models/demo/2/interface.json", b"{}")
    served.seconds[0] = 2.0
    responses = [served.predict({**RECORD, "key": f"customer-{number}"}) for number in range(40)]
    assert {(status, body["model_version"]) for status, body, _ in responses} == {(200, 1)}
    failures = [line for line in served.lines(None) if line.get("PredictionErrors")]
    assert {line["Version"] for line in failures} == {"2"}
    assert 8 <= sum(line["PredictionErrors"] for line in failures) <= 32
