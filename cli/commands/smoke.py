"""``driftless smoke``: check after a deployment that the API responds, and responds correctly.

The test requests one signed prediction from each project with a champion. The record is the example of the
API's pages. Its event time is the end of the champion's hold-out, so it opens no new monitoring window.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx
import typer
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from cli.shared.console import JsonOption, Output, StageOption, table
from cli.shared.failures import Failure
from cli.shared.platform import Platform, connect, read_project
from cli.shared.signing import Api
from driftless.definition.project import Project
from driftless.records import Endpoint
from driftless.serving.inference.pages import example_request
from driftless.serving.inference.schema import event_time_column

PATIENCE_SECONDS = 90.0
PAUSE_SECONDS = 3.0
_SUM_TOLERANCE = 1e-4
_LOGS = "read `driftless logs inference --since 15m`"

ProjectOption = Annotated[str | None, typer.Option("--project", help="Project to test. Default: all deployed projects.")]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Number(_Strict):
    id: str
    prediction: FiniteFloat


class _Binary(_Strict):
    id: str
    prediction: bool
    probability: Probability


class _Multiclass(_Strict):
    id: str
    prediction: str
    probabilities: dict[str, Probability]


_ANSWERS: dict[str, type[_Strict]] = {"regression": _Number, "binary": _Binary, "multiclass": _Multiclass}


class _Reply(_Strict):
    project: str
    model_version: int
    variant: str
    predictions: list[dict[str, Any]] = Field(min_length=1, max_length=1)


def smoke(project: ProjectOption = None, stage: StageOption = "local", as_json: JsonOption = False) -> None:
    """Request the API's health and one prediction from each project that has a champion.

    Example: [bold]driftless smoke --stage dev --project flights[/bold]
    """
    out = Output(as_json)
    platform = connect(stage)
    names = platform.deployed_projects
    if project is not None:
        if project not in names:
            raise Failure("arguments", f"stage {stage} has no project {project!r}", f"use one of: {', '.join(names)}")
        names = [project]
    found = check(platform, names, out)
    if as_json:
        out.document({"stage": stage, "url": platform.api_url, "projects": found})
        return
    rows = [(f["project"], f["model_version"], f["id"] or "no champion: health only", f["seconds"]) for f in found]
    out.show(f"{platform.api_url} is healthy")
    out.show(table("Predictions", ("project", "version", "prediction", "seconds"), rows))


def check(platform: Platform, names: list[str], out: Output) -> list[dict[str, Any]]:
    """The result of each project; ``seconds`` is the duration of its prediction request.

    Raises
    ------
    Failure
        When a check fails.
    """
    with Api(platform) as api:
        champions = {name: platform.registry.endpoint(name).champion for name in names}
        with out.working("waiting for the API"):
            _await_health(api, champions)
        return [_predict(api, platform, read_project(name)) if champions[name] else _nothing(name) for name in names]


def _nothing(name: str) -> dict[str, Any]:
    return {"project": name, "champion": None, "model_version": None, "variant": None, "id": None, "seconds": None}


def _await_health(api: Api, champions: dict[str, int | None]) -> None:
    """Wait until the API is up and every project with a champion has loaded its model."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            health = api.get("/health")
            serving = health["projects"]
            missing = [name for name, champion in champions.items() if name not in serving]
            unready = [name for name, champion in champions.items() if champion and not serving.get(name, {}).get("ready")]
            if health["status"] == "ok" and not missing and not unready:
                return
            failure = Failure("smoke test, GET /health", f"not served: {missing}; without model: {unready}", _LOGS)
        except (KeyError, TypeError, AttributeError) as error:
            raise Failure("smoke test, GET /health", f"the response is not a health document: {error!r}", _LOGS) from error
        except httpx.TransportError as error:
            failure = Failure("smoke test, GET /health", f"{type(error).__name__}: {error}", _LOGS)
        except Failure as error:
            failure = Failure(f"smoke test, {error.where}", error.cause, error.next_step)
        if time.monotonic() >= deadline:
            raise failure
        time.sleep(PAUSE_SECONDS)


def _predict(api: Api, platform: Platform, project: Project) -> dict[str, Any]:
    """One prediction, checked field by field."""
    where = f"smoke test, POST /{project.name}/predictions"
    body = example_request(project)
    when = event_time_column(project)
    if when is not None:
        body["records"][0][when] = _holdout_end(api, project.name)
    request_id = str(uuid.uuid4())
    before = platform.registry.endpoint(project.name)
    started = time.perf_counter()
    answer = api.post(f"/{project.name}/predictions", body, request_id=request_id)
    seconds = time.perf_counter() - started
    allowed = _serving(before, project) | _serving(platform.registry.endpoint(project.name), project)
    try:
        reply = _Reply.model_validate(answer)
        prediction = _ANSWERS[project.task].model_validate(reply.predictions[0])
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        raise Failure(where, f"the response does not match its schema: {told}", _LOGS) from error
    wrong = _wrong(reply, prediction, project, request_id, allowed)
    if wrong:
        raise Failure(where, wrong, _LOGS)
    facts = {"project": project.name, "champion": before.champion, "model_version": reply.model_version}
    return {**facts, "variant": reply.variant, "id": f"{request_id}-0", "seconds": round(seconds, 3)}


def _holdout_end(api: Api, name: str) -> str:
    model = api.get(f"/{name}/model")
    try:
        return str(model["champion"]["manifest"]["holdout_end"])
    except (KeyError, TypeError) as error:
        raise Failure(f"smoke test, GET /{name}/model", f"the response lacks {error}", _LOGS) from error


def _serving(endpoint: Endpoint, project: Project) -> set[int]:
    """Versions that may serve; the previous champion may until serving has refreshed its copy."""
    versions = {endpoint.champion, endpoint.challenger}
    if datetime.now(UTC) - endpoint.updated_at < 2 * timedelta(seconds=project.serving.refresh_seconds):
        versions.add(endpoint.previous_champion)
    return {version for version in versions if version is not None}


def _wrong(reply: _Reply, prediction: _Strict, project: Project, request_id: str, allowed: set[int]) -> str | None:
    """The first mismatch between response and request."""
    if reply.project != project.name:
        return f"the response is for project {reply.project!r}, not {project.name!r}"
    if reply.predictions[0]["id"] != f"{request_id}-0":
        return f"the prediction's id is {reply.predictions[0]['id']!r}, not that of request {request_id}"
    if reply.model_version not in allowed:
        return f"version {reply.model_version} served, but the registry has {sorted(allowed)}"
    if reply.variant not in ("champion", "challenger"):
        return f"variant is {reply.variant!r}, expected champion or challenger"
    if isinstance(prediction, _Multiclass):
        total = sum(prediction.probabilities.values())
        if prediction.prediction not in prediction.probabilities or abs(total - 1) > _SUM_TOLERANCE:
            return f"class {prediction.prediction!r} of {sorted(prediction.probabilities)}, probabilities summing to {total:g}"
    return None
