"""The public HTTP API: one prediction route per project, which model serves it, health, and the API's own description.

Routes are made from the project definitions when the process starts. FastAPI routes requests and describes the API; it is used
in this module only. The project's compiled validator checks each body in one pass over the JSON, so FastAPI does not. Handlers
are coroutines that never wait: Lambda sends a process one request at a time, so an event loop or a thread pool has no use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi import Request as FastRequest
from fastapi.responses import HTMLResponse
from fastapi.responses import Response as FastResponse
from starlette.exceptions import HTTPException

from driftless.core.problem import MEDIA_TYPE, InvalidRequest, Problem, Unavailable
from driftless.definition.project import Project
from driftless.serving.http import JSON, RestApiHandler, problem_response, rest_api_handler
from driftless.serving.inference.champions import Variant
from driftless.serving.inference.pages import describe_api
from driftless.serving.inference.predict import NoModel, Predict
from driftless.serving.inference.schema import request_schema

Route = Callable[[FastRequest], Awaitable[FastResponse]]
_PROBLEMS = {400: "malformed JSON", 413: "too many records", 422: "a field breaks the schema", 503: "no model yet"}


@dataclass(frozen=True)
class Api:
    """What the routes need."""

    predictors: Mapping[str, Predict]
    new_request_id: Callable[[], str]
    version: str


def create_handler(api: Api) -> RestApiHandler:
    """The Lambda handler of REST API events for the given projects' predictors."""
    return rest_api_handler(create_app(api), api.new_request_id)


def create_app(api: Api) -> FastAPI:
    """The ASGI application for the given projects' predictors."""
    app = FastAPI(
        title="Driftless predictions",
        version=api.version,
        docs_url=None,
        redoc_url=None,
        # Relative to the document itself, so it is valid under any stage prefix or domain.
        servers=[{"url": "."}],
    )
    for name, predict in api.predictors.items():
        app.post(f"/{name}/predictions", **_described(predict.project))(_prediction_route(predict))
        app.get(f"/{name}/model", summary=f"What serves {name}", tags=[name])(_model_route(predict))

    @app.get("/health", summary="Which projects have a model", tags=["service"])
    async def health() -> dict[str, Any]:
        return {"status": "ok", "projects": {name: _health(predict) for name, predict in api.predictors.items()}}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(describe_api([predict.project for predict in api.predictors.values()]))

    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(InvalidRequest, _known_problem)
    app.add_exception_handler(Unavailable, _known_problem)
    return app


def _prediction_route(predict: Predict) -> Route:
    async def predictions(request: FastRequest) -> FastResponse:
        return FastResponse(predict(await request.body(), request.state.request_id), media_type=JSON)

    return predictions


def _model_route(predict: Predict) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def model() -> dict[str, Any]:
        serving = predict.champions.serving()
        if serving is None:
            raise NoModel(predict.project.name, predict.champions.refusal)
        endpoint = serving.endpoint
        return {
            "project": predict.project.name,
            "title": predict.project.title,
            "task": predict.project.task,
            "revision": endpoint.revision,
            "updated_at": endpoint.updated_at.isoformat(),
            "challenger_weight": endpoint.challenger_weight if serving.challenger else 0.0,
            "champion": _facts(serving.champion),
            "challenger": _facts(serving.challenger) if serving.challenger else None,
        }

    return model


def _facts(variant: Variant) -> dict[str, Any]:
    manifest = variant.manifest.model_dump(mode="json")
    return {"version": variant.version, "classes": list(variant.model.classes) or None, "manifest": manifest}


def _health(predict: Predict) -> dict[str, Any]:
    serving = predict.champions.serving()
    return {"ready": serving is not None, "model_version": serving.champion.version if serving else None}


def _described(project: Project) -> dict[str, Any]:
    schema = {key: value for key, value in request_schema(project).items() if key != "$schema"}
    problems = {str(status): {"description": why, "content": {MEDIA_TYPE: {}}} for status, why in _PROBLEMS.items()}
    return {
        "summary": project.title,
        "description": project.description,
        "tags": [project.name],
        "response_class": FastResponse,
        "openapi_extra": {
            "requestBody": {"required": True, "content": {JSON: {"schema": schema}}},
            "responses": {"200": {"description": "predictions", "content": {JSON: {}}}, **problems},
        },
    }


async def _http_error(_: FastRequest, error: Exception) -> FastResponse:
    if not isinstance(error, HTTPException):
        raise error
    return _response(Problem(error.status_code, str(error.detail)), error.headers)


async def _known_problem(_: FastRequest, error: Exception) -> FastResponse:
    if not isinstance(error, InvalidRequest | Unavailable):
        raise error
    return _response(error.problem)


def _response(problem: Problem, headers: Mapping[str, str] | None = None) -> FastResponse:
    response = problem_response(problem, headers)
    return FastResponse(response.body, response.status, dict(response.headers), response.media_type)
