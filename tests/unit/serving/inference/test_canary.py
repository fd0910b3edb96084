"""Records of equal key keep their model; the share of keys follows the weight."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from driftless.records import Endpoint
from driftless.serving.inference.routing import goes_to_challenger, position
from tests.unit.modelling.models import point, publish
from tests.unit.modelling.projects import RECORD
from tests.unit.serving.inference.conftest import Serve, Served

KEYS = [f"customer-{number}" for number in range(20_000)]


def endpoint(weight: float, challenger: int | None = 2) -> Endpoint:
    return Endpoint(
        project="demo", champion=1, challenger=challenger, challenger_weight=weight, updated_at=datetime(2026, 1, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9])
def test_the_share_of_keys_follows_the_weight(weight: float) -> None:
    share = sum(goes_to_challenger(endpoint(weight), key) for key in KEYS) / len(KEYS)
    assert share == pytest.approx(weight, abs=4 * (weight * (1 - weight) / len(KEYS)) ** 0.5)


def test_no_weight_and_full_weight_are_exact() -> None:
    assert not any(goes_to_challenger(endpoint(0.0), key) for key in KEYS)
    assert all(goes_to_challenger(endpoint(1.0), key) for key in KEYS)
    assert not any(goes_to_challenger(endpoint(1.0, None), key) for key in KEYS[:10])


def test_a_growing_weight_only_adds_keys() -> None:
    few = {key for key in KEYS if goes_to_challenger(endpoint(0.1), key)}
    more = {key for key in KEYS if goes_to_challenger(endpoint(0.3), key)}
    assert few < more


def test_each_rollout_draws_its_own_sample() -> None:
    first = {key for key in KEYS if goes_to_challenger(endpoint(0.1, 2), key)}
    second = {key for key in KEYS if goes_to_challenger(endpoint(0.1, 3), key)}
    assert len(first & second) / len(first) == pytest.approx(0.1, abs=0.03)


def test_positions_are_stable_across_processes_and_releases() -> None:
    assert position("demo", 2, "customer-1") == 0.07639510698171392


@pytest.fixture
def served(serve: Serve) -> Served:
    """A canary at half of the traffic."""
    found = serve()
    digests = {number: publish(found.store, found.project, number, found.key, bias=10.0 * number) for number in (1, 2)}
    point(found.store, found.project, digests, champion=1, challenger=2, challenger_weight=0.5)
    return found


def keyed(count: int) -> list[dict[str, Any]]:
    return [{**RECORD, "key": key} for key in KEYS[:count]]


def test_a_key_keeps_its_model_from_request_to_request(served: Served) -> None:
    for record in keyed(20):
        versions = {served.predict(record)[1]["model_version"] for _ in range(3)}
        assert versions == {2 if goes_to_challenger(endpoint(0.5), record["key"]) else 1}


def test_both_models_may_serve_one_request_in_its_order(served: Served) -> None:
    records = keyed(5)
    expected = [2 if goes_to_challenger(endpoint(0.5), record["key"]) else 1 for record in records]
    assert set(expected) == {1, 2}
    status, body, _ = served.predict(*records)
    assert (status, body["variant"], body["model_version"]) == (200, "mixed", 1)
    assert [item["model_version"] for item in body["predictions"]] == expected
    assert [item["variant"] for item in body["predictions"]] == [("champion", "challenger")[number - 1] for number in expected]
    assert [item["id"] for item in body["predictions"]] == [f"request-1-{index}" for index in range(5)]
    lines = served.lines()
    assert [(line["version"], line["id"]) for line in lines] == [(v, f"request-1-{i}") for i, v in enumerate(expected)]
    counts = {line["Version"]: line["Predictions"] for line in served.lines(None)}
    assert counts == {"1": expected.count(1), "2": expected.count(2)}


def test_one_model_predicts_all_records_without_a_key(served: Served) -> None:
    seen = set()
    for _ in range(30):
        _, body, headers = served.predict(RECORD, RECORD, RECORD)
        assert body["variant"] != "mixed"
        assert (body["model_version"] == 2) == goes_to_challenger(endpoint(0.5), headers["x-request-id"])
        seen.add(body["model_version"])
    assert seen == {1, 2}


def test_the_model_page_shows_both(served: Served) -> None:
    body = served.call("GET", "/demo/model")[1]
    assert (body["champion"]["version"], body["challenger"]["version"], body["challenger_weight"]) == (1, 2, 0.5)
