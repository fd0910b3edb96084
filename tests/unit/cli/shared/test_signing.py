from __future__ import annotations

import json
import re

import httpx
import pytest

from cli.shared.failures import Failure, explain
from cli.shared.platform import Platform
from cli.shared.signing import Api


def answering(platform: Platform, status: int, body: object, seen: list[httpx.Request] | None = None) -> Api:
    def handle(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        return httpx.Response(status, json=body, headers={"content-type": "application/problem+json"})

    return Api(platform, httpx.MockTransport(handle), sleep=lambda _: None)


def test_requests_are_signed_for_execute_api_with_their_body(aws: Platform) -> None:
    seen: list[httpx.Request] = []
    with answering(aws, 200, {"predictions": []}, seen) as api:
        api.post("/flights/predictions", {"records": [{"a": 1}]}, request_id="4f9c5a0e-0000-4000-8000-000000000000")
        api.post("/flights/predictions", {"records": [{"a": 2}]})
    first, second = seen
    assert str(first.url) == "https://a1b2.execute-api.us-east-1.amazonaws.com/prod/flights/predictions"
    assert re.search(r"Credential=[A-Z]+/\d{8}/us-east-1/execute-api/aws4_request", first.headers["authorization"])
    assert "content-type;host;x-amz-date;x-request-id" in first.headers["authorization"]
    assert first.headers["x-request-id"] == "4f9c5a0e-0000-4000-8000-000000000000"
    assert first.headers["authorization"].rsplit("=", 1)[1] != second.headers["authorization"].rsplit("=", 1)[1]


def test_a_signature_is_the_one_the_published_algorithm_gives(aws: Platform) -> None:
    import hashlib
    import hmac

    seen: list[httpx.Request] = []
    with answering(aws, 200, {}, seen) as api:
        api.get("/health")
    (request,) = seen
    moment = request.headers["x-amz-date"]
    scope = f"{moment[:8]}/us-east-1/execute-api/aws4_request"
    host, empty = "a1b2.execute-api.us-east-1.amazonaws.com", hashlib.sha256(b"").hexdigest()
    canonical = f"GET\n/prod/health\n\nhost:{host}\nx-amz-date:{moment}\n\nhost;x-amz-date\n{empty}"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + aws.session.get_credentials().secret_key).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert request.headers["authorization"].endswith("Signature=" + hmac.new(key, text.encode(), hashlib.sha256).hexdigest())


def test_problem_json_names_the_field(aws: Platform) -> None:
    problem = {
        "status": 422,
        "title": "invalid",
        "detail": "1 field",
        "errors": [{"field": "records[0].hour", "reason": "missing"}],
    }
    with answering(aws, 422, problem) as api, pytest.raises(Failure) as caught:
        api.post("/flights/predictions", {"records": [{}]})
    assert caught.value.cause == "422 1 field (records[0].hour: missing)"
    assert caught.value.where.startswith("POST /prod/flights/predictions")


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (403, {"message": "Forbidden"}, "execute-api:Invoke"),
        (503, {"detail": "no model yet"}, "driftless train"),
        (500, {}, "logs inference"),
    ],
)
def test_refusals_say_what_to_do(aws: Platform, status: int, body: object, hint: str) -> None:
    with answering(aws, status, body) as api, pytest.raises(Failure) as caught:
        api.get("/flights/model")
    assert hint in caught.value.next_step


def test_an_answer_that_is_no_json_is_still_explained(aws: Platform) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>bad gateway</html>"))
    with Api(aws, transport, sleep=lambda _: None) as api, pytest.raises(Failure, match="502 <html>bad gateway"):
        api.get("/health")


def failing(answers: list[httpx.Response | httpx.HTTPError], seen: list[httpx.Request]) -> httpx.MockTransport:
    """Answers in turn, the last one for good."""

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return answer

    return httpx.MockTransport(handle)


@pytest.mark.parametrize(
    "trouble",
    [
        *(httpx.Response(status, json={"message": "later"}) for status in (429, 502, 503, 504)),
        httpx.Response(
            502,
            json={"type": "about:blank", "title": "Internal server error", "instance": "4f9c"},
            headers={"content-type": "application/problem+json"},
        ),
        httpx.RemoteProtocolError("server disconnected"),
        httpx.ReadError("reset"),
    ],
)
def test_what_passes_is_asked_again_under_the_same_id_and_signed_anew(
    aws: Platform, trouble: httpx.Response | httpx.HTTPError
) -> None:
    seen: list[httpx.Request] = []
    pauses: list[float] = []
    transport = failing([trouble, trouble, httpx.Response(202, json={"accepted": 1})], seen)
    with Api(aws, transport, sleep=pauses.append) as api:
        assert api.post("/flights/labels", {"labels": []}) == {"accepted": 1}
    assert len(seen) == 3
    assert len({request.headers["x-request-id"] for request in seen}) == 1
    assert all("authorization" in request.headers and request.content == b'{"labels": []}' for request in seen)
    assert all(0 <= pause <= 2 for pause in pauses) and len(pauses) == 2


def test_asking_again_ends_with_the_last_answer(aws: Platform) -> None:
    seen: list[httpx.Request] = []
    pauses: list[float] = []
    transport = failing([httpx.Response(429, json={"message": "Too Many Requests"})], seen)
    with Api(aws, transport, sleep=pauses.append) as api, pytest.raises(Failure, match="429 Too Many Requests"):
        api.get("/health")
    assert (len(seen), len(pauses)) == (6, 5)
    assert max(pauses) <= 8


@pytest.mark.parametrize("status", [400, 422, 500, 503])
def test_what_our_function_refuses_is_final(aws: Platform, status: int) -> None:
    seen: list[httpx.Request] = []
    problem = {"type": "about:blank", "title": "no", "status": status, "detail": "no"}
    with answering(aws, status, problem, seen) as api, pytest.raises(Failure):
        api.get("/flights/model")
    assert len(seen) == 1


def test_nobody_listening_is_said_in_words() -> None:
    with pytest.raises(httpx.ConnectError) as caught:
        httpx.get("http://127.0.0.1:9/health", trust_env=False)
    failure = explain(caught.value)
    assert failure.cause == "nothing is running at http://127.0.0.1:9"
    assert "make up" in failure.next_step


def test_bodies_are_json(aws: Platform) -> None:
    seen: list[httpx.Request] = []
    with answering(aws, 202, {"accepted": 1}, seen) as api:
        assert api.post("/flights/labels", {"labels": [{"id": "x", "label": True}]}) == {"accepted": 1}
    assert json.loads(seen[0].content) == {"labels": [{"id": "x", "label": True}]}
