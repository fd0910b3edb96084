"""Bad requests: always a 4xx problem that names the field, never a 500, and no line in the prediction log."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from pydantic_core import SchemaValidator, ValidationError

from driftless.modelling.inputs import PROVEN
from driftless.serving.inference.pages import example_request
from driftless.serving.inference.schema import request_schema, request_validator
from tests.unit.modelling.models import point, publish
from tests.unit.modelling.projects import RECORD, definition
from tests.unit.serving.inference.conftest import Serve, Served

JUNK: list[Any] = [None, True, False, 0, 1, -1, 3.5, 3.0, 1e300, -1e39, 10**30, "", "JFK", "3", "x" * 2000, [], {}, [1], {"a": 1}]


@pytest.fixture
def served(serve: Serve) -> Served:
    found = serve()
    point(found.store, found.project, {1: publish(found.store, found.project, 1, found.key)}, champion=1)
    return found


def accepts(validator: SchemaValidator, body: Any) -> bool:
    try:
        validator.validate_json(json.dumps(body))
    except ValidationError:
        return False
    return True


KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
SILENT = {"$schema", "title", "description", "format"}


def conforms(schema: dict[str, Any], value: Any) -> bool:
    """JSON Schema, draft 4, of the keywords the published schema uses; any other keyword is a KeyError."""
    return all(KEYWORDS[word](schema, value) for word in schema.keys() - SILENT)


def is_kind(kind: str, value: Any) -> bool:
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


KEYWORDS: dict[str, Callable[[dict[str, Any], Any], bool]] = {
    "type": lambda s, v: any(is_kind(kind, v) for kind in ([s["type"]] if isinstance(s["type"], str) else s["type"])),
    "enum": lambda s, v: any(type(v) is type(one) and v == one for one in s["enum"]),
    "minimum": lambda s, v: not is_kind("number", v) or v >= s["minimum"],
    "maximum": lambda s, v: not is_kind("number", v) or v <= s["maximum"],
    "maxLength": lambda s, v: not isinstance(v, str) or len(v) <= s["maxLength"],
    "minItems": lambda s, v: not isinstance(v, list) or len(v) >= s["minItems"],
    "maxItems": lambda s, v: not isinstance(v, list) or len(v) <= s["maxItems"],
    "items": lambda s, v: not isinstance(v, list) or all(conforms(s["items"], one) for one in v),
    "required": lambda s, v: not isinstance(v, dict) or set(s["required"]) <= set(v),
    "properties": lambda s, v: (
        not isinstance(v, dict) or all(conforms(one, v[name]) for name, one in s["properties"].items() if name in v)
    ),
    "additionalProperties": lambda s, v: not isinstance(v, dict) or set(v) <= set(s["properties"]),
}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in RECORD.items() if key != name}


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({**RECORD, "temp": "1.5"}, "temp"),
        ({**RECORD, "temp": True}, "temp"),
        ({**RECORD, "temp": 141}, "temp"),
        ({**RECORD, "temp": -60.1}, "temp"),
        ({**RECORD, "seats": 3.5}, "seats"),
        ({**RECORD, "seats": 3.0}, "seats"),
        ({**RECORD, "seats": 0}, "seats"),
        ({**RECORD, "seats": 851}, "seats"),
        ({**RECORD, "seats": 10**400}, "seats"),
        ({**RECORD, "seats": None}, "seats"),
        ({**RECORD, "origin": "LGA"}, "origin"),
        ({**RECORD, "origin": 1}, "origin"),
        ({**RECORD, "carrier": "x" * 1025}, "carrier"),
        ({**RECORD, "carrier": 7}, "carrier"),
        ({**RECORD, "night": 1}, "night"),
        ({**RECORD, "night": "false"}, "night"),
        ({**RECORD, "at": "yesterday"}, "at"),
        ({**RECORD, "at": 1388534400}, "at"),
        ({**RECORD, "at": "0001-01-01T00:00:00+14:00"}, "at"),
        ({**RECORD, "key": 5}, "key"),
        ({**RECORD, "key": "k" * 257}, "key"),
        ({**RECORD, "colour": "red"}, "colour"),
        ({**RECORD, "\u0000": 1}, "\u0000"),
        (without("seats"), "seats"),
        (without("night"), "night"),
    ],
)
def test_a_bad_field_is_named(served: Served, record: dict[str, Any], field: str) -> None:
    status, body, headers = served.predict(RECORD, record)
    assert (status, headers["content-type"]) == (422, "application/problem+json")
    assert [error["field"] for error in body["errors"]] == [f"records[1].{field}"]
    assert body["errors"][0]["reason"]
    assert headers["x-request-id"] == "request-1"
    assert served.written == []


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ("", 400, ""),
        (None, 400, ""),
        ("{", 400, ""),
        ("[" * 5000, 400, ""),
        ('{"records": [{"carrier": "\\ud800"}]}', 400, ""),
        ("null", 422, ""),
        ("[]", 422, ""),
        ('"text"', 422, ""),
        ({}, 422, "records"),
        ({"records": {}}, 422, "records"),
        ({"records": []}, 422, "records"),
        ({"records": [1]}, 422, "records[0]"),
        ({"records": [RECORD], "more": 1}, 422, "more"),
        ({"records": [RECORD] * 6}, 413, "records"),
    ],
)
def test_a_bad_body_is_a_problem(served: Served, body: Any, status: int, field: str) -> None:
    found, problem, headers = served.call("POST", "/demo/predictions", body)
    assert (found, problem["status"], headers["content-type"]) == (status, status, "application/problem+json")
    assert problem["errors"][0]["field"] == field
    assert served.written == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_nan_and_infinity_are_refused(served: Served, number: str) -> None:
    text = json.dumps({"records": [RECORD]}).replace("1.5", number)
    status, problem, _ = served.call("POST", "/demo/predictions", text)
    assert (status, problem["errors"][0]["field"]) == (422, "records[0].temp")


def test_bytes_that_are_no_text_are_refused(served: Served) -> None:
    body = base64.b64encode(b'{"records": [{"carrier": "\xff\xfe"}]}').decode()
    status, problem, _ = served.call("POST", "/demo/predictions", body, isBase64Encoded=True)
    assert (status, problem["detail"]) == (400, "the body is not valid JSON")


def test_a_base64_body_is_decoded(served: Served) -> None:
    body = base64.b64encode(json.dumps({"records": [RECORD]}).encode()).decode()
    assert served.call("POST", "/demo/predictions", body, isBase64Encoded=True)[0] == 200


def test_a_problem_neither_echoes_values_nor_grows_without_bound(served: Served) -> None:
    record = {**RECORD, "temp": "SECRET", **{f"{'n' * 500}{index}": "SECRET" for index in range(300)}}
    status, problem, _ = served.predict(record)
    assert status == 422
    assert "SECRET" not in json.dumps(problem)
    assert len(problem["errors"]) == 20
    assert len(json.dumps(problem)) < 5000


def test_a_client_may_choose_the_request_id_by_a_uuid_and_nothing_else(served: Served) -> None:
    chosen = "6f0c9a52-3b1e-4a55-9d0c-2f1b6e1f7a11"

    def ids_for(request_id: str) -> tuple[str, str]:
        sent = {"headers": {"X-Request-Id": request_id}, "multiValueHeaders": None}
        _, body, headers = served.call("POST", "/demo/predictions", {"records": [RECORD]}, **sent)
        return headers["x-request-id"], body["predictions"][0]["id"]

    assert ids_for(chosen.upper()) == (chosen, f"{chosen}-0")
    assert ids_for("../../labels") == ("request-1", "request-1-0")


def test_nullable_fields_may_be_null_or_left_out(served: Served) -> None:
    bare = {name: RECORD[name] for name in ("seats", "origin", "night")}
    status, body, _ = served.predict(bare, {**bare, "temp": None, "carrier": None, "name": None})
    assert status == 200
    assert len(body["predictions"]) == 2


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/nobody/predictions", 404), ("GET", "/demo/predictions", 405)])
def test_other_paths_and_methods_are_problems_too(served: Served, method: str, path: str, status: int) -> None:
    found, problem, headers = served.call(method, path)
    assert (found, problem["status"], headers["content-type"]) == (status, status, "application/problem+json")


def test_a_wrong_method_names_the_allowed_one(served: Served) -> None:
    assert served.call("GET", "/demo/predictions")[2]["allow"] == "POST"


def test_base64_that_cannot_be_decoded_is_a_problem(served: Served) -> None:
    status, problem, _ = served.call("POST", "/demo/predictions", "%%", isBase64Encoded=True)
    assert (status, problem["detail"]) == (400, "the body is not valid JSON")


def test_random_records_are_never_a_500(served: Served) -> None:
    """Every value of the record replaced by junk, alone and together, in many draws."""
    generator = random.Random(1)
    names = [*RECORD, "at", "key", "unknown"]
    seen = set()
    for _ in range(400):
        record = {**RECORD, **{name: generator.choice(JUNK) for name in generator.sample(names, generator.randint(0, 3))}}
        status, _, _ = served.predict(record)
        seen.add(status)
    assert seen == {200, 422}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_published_schema_and_the_validator_agree(task: str) -> None:
    """The gateway's JSON Schema accepts what the function accepts, and refuses what it refuses.

    One difference is known and left out: 3.0 is an integer for JSON Schema; and only the function knows formats.
    """
    project = definition(task)
    schema = request_schema(project)
    validator = request_validator(project)
    generator = random.Random(2)
    names = [*RECORD, "key", "unknown"]
    junk = [value for value in JUNK if value != 3.0]
    outcomes = set()
    for _ in range(600):
        record = {**RECORD, **{name: generator.choice(junk) for name in generator.sample(names, generator.randint(0, 2))}}
        if generator.random() < 0.2:
            del record[generator.choice(list(record))]
        body = json.loads(json.dumps({"records": [record] * generator.choice([1, 1, 1, 5, 6])}))
        accepted = conforms(schema, body)
        assert accepts(validator, body) == accepted, record
        outcomes.add(accepted)
    assert outcomes == {True, False}


@pytest.mark.parametrize(("number", "status"), [(PROVEN, 200), (-PROVEN, 200), (1.8e12, 422), (1e38, 422), (10**30, 422)])
def test_a_number_without_a_range_may_be_as_large_as_exports_are_proven_for(serve: Serve, number: float, status: int) -> None:
    """Beyond it a linear model would predict infinity, which is not a prediction."""
    project = definition(features={"base": "events", "columns": {"temp": {"type": "number"}}})
    served = serve(project)
    point(served.store, project, {1: publish(served.store, project, 1, served.key)}, champion=1)
    found, body, _ = served.predict({"temp": number})
    assert found == status
    if status == 422:
        assert body["errors"][0]["field"] == "records[0].temp"


def test_the_schema_uses_the_gateways_dialect() -> None:
    """API Gateway's models are draft 4: no const, no exclusive numbers, no references."""
    text = json.dumps(request_schema(definition()))
    assert not {word for word in ('"const"', '"$defs"', '"exclusiveMinimum"', '"anyOf"', '"$ref"') if word in text}


def test_a_feature_may_take_the_routing_key_or_the_event_time_for_itself() -> None:
    columns = {"key": {"type": "number"}, "at": {"type": "category"}}
    project = definition(features={"base": "events", "columns": columns})
    validated = request_validator(project).validate_json('{"records": [{"key": 1.5, "at": "noon"}]}')
    assert validated == {"records": [{"key": 1.5, "at": "noon"}]}
    assert set(request_schema(project)["properties"]["records"]["items"]["properties"]) == {"key", "at"}


def test_the_example_of_the_documentation_is_accepted() -> None:
    project = definition()
    assert accepts(request_validator(project), example_request(project))


def test_the_api_describes_itself(served: Served) -> None:
    status, document, _ = served.call("GET", "/openapi.json")
    assert status == 200
    operation = document["paths"]["/demo/predictions"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["records"]["items"]["properties"]["origin"]["enum"] == ["EWR", "JFK"]
    assert {"200", "400", "413", "422", "503"} <= set(operation["responses"])
    assert document["servers"] == [{"url": "."}]


def test_the_documentation_page_loads_nothing_and_escapes_its_content(served: Served) -> None:
    status, page, headers = served.call("GET", "/docs")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "A &lt;demo&gt; project" in page and "<demo>" not in page
    assert "<script" not in page and "http://" not in page and "https://" not in page
    assert 'href="openapi.json"' in page


def test_health_says_which_projects_are_ready(served: Served, serve: Serve) -> None:
    assert served.call("GET", "/health")[1] == {"status": "ok", "projects": {"demo": {"ready": True, "model_version": 1}}}
    assert serve().call("GET", "/health")[1]["projects"] == {"demo": {"ready": False, "model_version": None}}
