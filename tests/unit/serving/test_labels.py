"""Labels in, one object per request out, or a problem that names the field."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

import pytest

from driftless.errors import AccessDenied, StoreUnavailable
from driftless.records import Label, Ref
from driftless.serving.http import asgi, rest_api_handler
from driftless.serving.labels import MAX_LABELS, AcceptLabels, respond
from driftless.testing.memory import MemoryStore
from tests.unit.modelling.projects import definition
from tests.unit.serving.inference.conftest import event as rest_event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROJECTS = {"demo": definition(), "kinds": definition("multiclass", "kinds"), "sums": definition("regression", "sums")}


def post(store: MemoryStore, body: Any, project: str = "demo", **event: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    numbers = count(len(store.list("")))
    accept = AcceptLabels(lake=store, projects=PROJECTS, clock=lambda: NOW, new_id=lambda: f"object-{next(numbers)}")
    text = body if isinstance(body, str) else json.dumps(body)
    handler = rest_api_handler(asgi(partial(respond, accept)), lambda: "request-1")
    response = handler(rest_event("POST", f"/{project}/labels", text, **event), None)
    return response["statusCode"], json.loads(response["body"]), response["headers"]


def labels(*items: dict[str, Any]) -> dict[str, Any]:
    return {"labels": list(items)}


def kept(store: MemoryStore) -> list[Label]:
    return [Label.model_validate_json(line) for key in store.list("labels/") for line in store.get(key).splitlines()]


def test_a_request_becomes_one_object_of_labels() -> None:
    store = MemoryStore()
    body = labels({"id": "a-0", "label": True}, {"id": "a-1", "label": False, "observed_at": "2013-05-02T10:00:00+02:00"})
    status, accepted, headers = post(store, body)
    assert (status, accepted) == (202, {"accepted": 2})
    assert headers == {"content-type": "application/json", "x-request-id": "request-1"}
    assert store.list("") == ["labels/demo/day=2026-03-01/object-0.json"]
    first, second = kept(store)
    assert (first.id, first.label, first.observed_at, first.received_at) == ("a-0", True, NOW, NOW)
    assert (second.label, second.observed_at) == (False, datetime(2013, 5, 2, 8, tzinfo=UTC))


def test_a_label_sent_again_is_accepted_again() -> None:
    store = MemoryStore()
    for _ in range(2):
        assert post(store, labels({"id": "a-0", "label": True}))[0] == 202
    assert len(kept(store)) == 2


def test_each_task_takes_its_own_kind_of_label() -> None:
    store = MemoryStore()
    assert post(store, labels({"id": "a", "label": "yes"}), "kinds")[0] == 202
    assert post(store, labels({"id": "a", "label": 2}), "sums")[0] == 202
    assert [label.label for label in kept(store)] == ["yes", 2.0]


@pytest.mark.parametrize(
    ("project", "item", "field"),
    [
        ("demo", {"id": "a", "label": 1}, "labels[0].label"),
        ("demo", {"id": "a", "label": "true"}, "labels[0].label"),
        ("demo", {"id": "a", "label": None}, "labels[0].label"),
        ("demo", {"id": "a"}, "labels[0].label"),
        ("demo", {"label": True}, "labels[0].id"),
        ("demo", {"id": "", "label": True}, "labels[0].id"),
        ("demo", {"id": "../x", "label": True}, "labels[0].id"),
        ("demo", {"id": "a", "label": True, "observed_at": "yesterday"}, "labels[0].observed_at"),
        ("demo", {"id": "a", "label": True, "observed_at": "2026-03-01T12:06:00Z"}, "labels[0].observed_at"),
        ("demo", {"id": "a", "label": True, "\ud800": 1}, ""),
        ("demo", {"id": "a", "label": True, "extra": 1}, "labels[0].extra"),
        ("kinds", {"id": "a", "label": "maybe"}, "labels[0].label"),
        ("kinds", {"id": "a", "label": True}, "labels[0].label"),
        ("sums", {"id": "a", "label": "2"}, "labels[0].label"),
        ("sums", {"id": "a", "label": True}, "labels[0].label"),
    ],
)
def test_a_bad_label_is_a_problem_that_names_its_field(project: str, item: dict[str, Any], field: str) -> None:
    store = MemoryStore()
    status, body, headers = post(store, labels(item), project)
    assert status == (422 if field else 400)
    assert headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in body["errors"]] == [field]
    assert store.list("") == []


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ("{", 400, ""),
        ("", 400, ""),
        ('{"labels": [{"id": "a", "label": NaN}]}', 422, "labels[0].label"),
        ("[]", 422, ""),
        ({"labels": []}, 422, "labels"),
        ({"labels": {}}, 422, "labels"),
        ({}, 422, "labels"),
        ({"labels": [{"id": "a", "label": True}] * (MAX_LABELS + 1)}, 413, "labels"),
    ],
)
def test_a_bad_body_is_a_problem(body: Any, status: int, field: str) -> None:
    found, problem, _ = post(MemoryStore(), body)
    assert (found, problem["status"], problem["errors"][0]["field"]) == (status, status, field)


def test_an_unknown_project_is_not_found() -> None:
    assert post(MemoryStore(), labels({"id": "a", "label": True}), "nobody")[0] == 404


def test_a_base64_body_is_decoded_and_a_broken_one_refused() -> None:
    text = base64.b64encode(json.dumps(labels({"id": "a", "label": True})).encode()).decode()
    assert post(MemoryStore(), text, isBase64Encoded=True)[0] == 202
    assert post(MemoryStore(), "%%", isBase64Encoded=True)[0] == 400


def test_without_path_parameters_the_path_names_the_project() -> None:
    assert post(MemoryStore(), labels({"id": "a", "label": True}), pathParameters=None)[0] == 202


def test_a_base_path_does_not_change_the_project() -> None:
    store = MemoryStore()
    assert post(store, labels({"id": "a", "label": True}), "v1/demo")[0] == 202
    assert [label.project for label in kept(store)] == ["demo"]


class _Away(MemoryStore):
    def put(self, key: str, content: bytes, *, content_type: str = "application/octet-stream", if_absent: bool = False) -> Ref:
        raise StoreUnavailable("away")


def test_a_store_that_is_unavailable_makes_the_client_retry() -> None:
    status, body, headers = post(_Away(), labels({"id": "a", "label": True}))
    assert (status, body["status"], headers["retry-after"]) == (503, 503, "5")


class _Forbidden(MemoryStore):
    def put(self, key: str, content: bytes, *, content_type: str = "application/octet-stream", if_absent: bool = False) -> Ref:
        raise AccessDenied("no permission to write")


def test_a_failure_of_the_function_is_raised_so_that_lambda_counts_it() -> None:
    with pytest.raises(AccessDenied):
        post(_Forbidden(), labels({"id": "a", "label": True}))
