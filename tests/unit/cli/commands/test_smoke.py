"""The smoke test against the real application in process, over a registry and a store on moto."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from cli.commands import smoke
from cli.main import app
from cli.shared import signing
from cli.shared.platform import Platform
from driftless.registry import rollout
from tests.unit.cli.commands.test_models import registered
from tests.unit.modelling.models import Key, publish
from tests.unit.modelling.projects import definition
from tests.unit.serving.inference.conftest import Serve, Served, event
from tests.unit.serving.inference.conftest import serve as serve  # a fixture

COMMAND = ["smoke", "--stage", "dev", "--json"]
Alter = Callable[[httpx.Request, httpx.Response], httpx.Response]


class Stage:
    """A stage whose API is the application itself; ``alter`` may change what it answers."""

    def __init__(self, platform: Platform, monkeypatch: pytest.MonkeyPatch, build: Serve) -> None:
        self.platform, self._patch, self._build = platform, monkeypatch, build
        self.requests: list[httpx.Request] = []
        self.alter: Alter = lambda request, response: response
        self._key = Key()
        self.serves("binary")
        monkeypatch.setattr(smoke, "Api", lambda given: signing.Api(given, httpx.MockTransport(self._handle), lambda _: None))
        monkeypatch.setattr(smoke, "PATIENCE_SECONDS", 0.0)
        monkeypatch.setattr(smoke, "PAUSE_SECONDS", 0.0)

    def serves(self, task: str) -> None:
        self.project = definition(task, name="flights")
        self._patch.setattr(smoke, "read_project", lambda name: self.project)
        self.served: Served = self._build(self.project, self.platform.store("artifacts"))

    def promotes(self, version: int) -> None:
        store = self.platform.store("artifacts")
        registered(self.platform, version, sealed=publish(store, self.project, version, self._key))
        rollout.promote(self.platform.registry, store, "flights", version, "a test")
        self.served.seconds[0] += 3600

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path.removeprefix("/prod")
        headers = {"X-Request-Id": request.headers["x-request-id"]} if "x-request-id" in request.headers else {}
        given = event(request.method, path, request.content or None)
        given["headers"] |= headers
        given["multiValueHeaders"] |= {name: [value] for name, value in headers.items()}
        answer = self.served.application(given, None)
        return self.alter(request, httpx.Response(answer["statusCode"], headers=answer["headers"], text=answer["body"]))


@pytest.fixture
def dev(aws: Platform, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Stage:
    return Stage(aws, monkeypatch, request.getfixturevalue("serve"))


def answering(change: Callable[[dict[str, Any]], None], path: str = "/predictions") -> Alter:
    """Alters the JSON of the answers whose path ends so."""

    def alter(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if not request.url.path.endswith(path):
            return response
        body = response.json()
        change(body)
        return httpx.Response(200, json=body)

    return alter


def failure_of(runner: CliRunner) -> dict[str, str]:
    result = runner.invoke(app, COMMAND)
    assert result.exit_code == 1, result.output
    error: dict[str, str] = json.loads(result.stdout)["error"]
    return error


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_champion_is_asked_for_one_signed_prediction(dev: Stage, runner: CliRunner, task: str) -> None:
    dev.serves(task)
    dev.promotes(1)
    result = runner.invoke(app, COMMAND)
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["projects"]
    assert (found["project"], found["champion"], found["model_version"], found["variant"]) == ("flights", 1, 1, "champion")
    (line,) = dev.served.lines()
    assert line["id"] == found["id"]
    # Where the champion's hold-out ends, and not now.
    assert line["event_time"].startswith("2026-01-01T00:00:00")
    assert all("AWS4-HMAC-SHA256" in request.headers["authorization"] for request in dev.requests)
    assert "version" in runner.invoke(app, COMMAND[:-1]).stdout


def test_a_project_without_champion_is_reported(dev: Stage, runner: CliRunner) -> None:
    result = runner.invoke(app, COMMAND)
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["projects"]
    assert (found["champion"], found["id"]) == (None, None)
    assert [request.url.path for request in dev.requests] == ["/prod/health"]
    assert "no champion: health only" in runner.invoke(app, COMMAND[:-1]).stdout


def test_an_api_that_is_not_up_yet_is_waited_for(dev: Stage, runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "PATIENCE_SECONDS", 60.0)
    dev.promotes(1)
    early: list[httpx.Response | Exception] = [httpx.Response(403, json={"message": "Missing Authentication Token"})]
    early += [httpx.ConnectError("not yet"), httpx.Response(502, text="")]

    def alter(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        answer = early.pop(0) if early else response
        if isinstance(answer, Exception):
            raise answer
        return answer

    dev.alter = alter
    assert runner.invoke(app, COMMAND).exit_code == 0
    assert early == []


def test_an_api_that_stays_away_fails(dev: Stage, runner: CliRunner) -> None:
    dev.alter = lambda request, response: httpx.Response(502, json={"message": "Internal server error"})
    assert "502 Internal server error" in failure_of(runner)["cause"]


def test_a_champion_that_does_not_load_fails(dev: Stage, runner: CliRunner) -> None:
    registered(dev.platform, 1, sealed="0" * 64)
    rollout.promote(dev.platform.registry, dev.platform.store("artifacts"), "flights", 1, "a test")
    assert "without model: ['flights']" in failure_of(runner)["cause"]


def test_a_deployed_project_that_the_api_does_not_serve_fails(dev: Stage, runner: CliRunner) -> None:
    dev.alter = answering(lambda body: body["projects"].pop("flights"), "/health")
    assert "not served: ['flights']" in failure_of(runner)["cause"]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda body: body.update(model_version=9), "version 9 served, but the registry has [1]"),
        (lambda body: body.update(model_version="1"), "model_version: Input should be a valid integer"),
        (lambda body: body.update(project="other"), "the response is for project 'other', not 'flights'"),
        (lambda body: body.update(variant="mixed"), "variant is 'mixed', expected champion or challenger"),
        (lambda body: body.update(extra=1), "extra: Extra inputs are not permitted"),
        (lambda body: body.pop("variant"), "variant: Field required"),
        (lambda body: body["predictions"].clear(), "predictions: List should have at least 1 item"),
        (lambda body: body["predictions"][0].update(id="another-0"), "the prediction's id is 'another-0'"),
        (lambda body: body["predictions"][0].update(probability=1.5), "probability: Input should be less than or equal to 1"),
        (lambda body: body["predictions"][0].update(prediction="true"), "prediction: Input should be a valid boolean"),
    ],
)
def test_a_response_that_does_not_match_fails(
    dev: Stage, runner: CliRunner, change: Callable[[dict[str, Any]], None], cause: str
) -> None:
    dev.promotes(1)
    dev.alter = answering(change)
    error = failure_of(runner)
    assert cause in error["cause"]
    assert error["where"] == "smoke test, POST /flights/predictions"


def test_probabilities_that_do_not_sum_to_one_fail(dev: Stage, runner: CliRunner) -> None:
    dev.serves("multiclass")
    dev.promotes(1)
    dev.alter = answering(lambda body: body["predictions"][0]["probabilities"].update(yes=0.0, no=0.0))
    assert "probabilities summing to 0" in failure_of(runner)["cause"]


def test_a_refused_request_fails_with_the_api_s_words(dev: Stage, runner: CliRunner) -> None:
    dev.promotes(1)
    dev.alter = lambda request, response: httpx.Response(500, json={"detail": "no"}) if request.method == "POST" else response
    assert failure_of(runner)["cause"] == "500 no"


def test_the_previous_champion_may_answer_only_until_serving_looked_again(dev: Stage) -> None:
    dev.promotes(1)
    dev.promotes(2)
    endpoint = dev.platform.registry.endpoint("flights")

    def serving(updated_at: datetime) -> set[int]:
        return smoke._serving(endpoint.model_copy(update={"updated_at": updated_at}), dev.project)

    assert serving(datetime.now(UTC) + timedelta(hours=1)) == {1, 2}
    assert serving(endpoint.updated_at.replace(year=2020)) == {2}


def test_a_project_that_is_not_deployed_is_refused(dev: Stage, runner: CliRunner) -> None:
    result = runner.invoke(app, [*COMMAND, "--project", "nope"])
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["cause"] == "stage dev has no project 'nope'"
    assert error["next_step"] == "use one of: flights"
    assert dev.requests == []
