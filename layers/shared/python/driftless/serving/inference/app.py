"""The public HTTP API: one prediction route per project, what serves it, health, and a description of itself.

Routes are made from the project definitions when the process starts. Bodies are validated by the project's compiled validator
rather than by FastAPI, in one pass over the JSON; FastAPI routes, and describes the API from the same schemas. Every refusal is
problem+json, and every answer carries ``X-Request-Id``. Handlers are coroutines that never wait: an inference function serves
one request at a time, and a thread pool would only add a hop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from uuid import UUID

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from mangum import Mangum
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from driftless.core.problem import MEDIA_TYPE, InvalidRequest, Problem
from driftless.definition.project import Project
from driftless.serving.inference.champions import Variant
from driftless.serving.inference.pages import describe_api
from driftless.serving.inference.predict import NoModel, Predict
from driftless.serving.inference.schema import request_schema

Route = Callable[[Request], Awaitable[Response]]
_PROBLEMS = {400: "malformed JSON", 413: "too many records", 422: "a field breaks the schema", 503: "no model yet"}


@dataclass(frozen=True)
class Api:
    """What the routes work on."""

    predictors: Mapping[str, Predict]
    new_request_id: Callable[[], str]
    version: str


def create_handler(api: Api) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """The Lambda handler of REST API events over the given projects' predictors.

    A failure of our own is raised, though Mangum would answer it: Lambda counts only what is raised, and alarms and rollouts look
    at that count. API Gateway then answers the client, as problem+json too.
    """
    app, failure = create_app(api), _Failure()

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        with failure:
            await app(scope, receive, send)

    # What is not named here would leave as base64, which a REST API without binary media types passes on as it is.
    answer: Callable[[dict[str, Any], Any], dict[str, Any]]
    answer = Mangum(watched, lifespan="off", text_mime_types=["text/", "application/json", MEDIA_TYPE])

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        answered = answer(event, context)
        failure.raise_again()
        return answered

    return handler


class _Failure:
    """Remembers what leaves its block, and lets it leave."""

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def __enter__(self) -> None:
        self._error = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._error = error

    def raise_again(self) -> None:
        """Raise what left the last block, if anything did."""
        error, self._error = self._error, None
        if error is not None:
            raise error


def create_app(api: Api) -> ASGIApp:
    """The ASGI application over the given projects' predictors."""
    app = FastAPI(
        title="Driftless predictions",
        version=api.version,
        docs_url=None,
        redoc_url=None,
        # Relative to the document itself, so that it holds behind any stage prefix or domain.
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

    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(InvalidRequest, _known_problem)
    app.add_exception_handler(NoModel, _known_problem)
    return RequestIds(app, api.new_request_id)


class RequestIds:
    """ASGI wrapper: gives each request an id, and each answer a header that names it.

    A client that sends a UUID as ``X-Request-Id`` chooses the id, so that a request sent again is kept once.
    """

    def __init__(self, app: ASGIApp, new_request_id: Callable[[], str]) -> None:
        self._app, self._new_request_id = app, new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _chosen_id(scope) or self._new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        await self._app(scope, receive, named)


def _chosen_id(scope: Scope) -> str | None:
    for name, value in scope.get("headers", ()):
        if name == b"x-request-id":
            try:
                return str(UUID(value.decode("latin-1")))
            except ValueError:
                return None
    return None


def _prediction_route(predict: Predict) -> Route:
    async def predictions(request: Request) -> Response:
        return Response(predict(await request.body(), request.state.request_id), media_type="application/json")

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
        "response_class": Response,
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": {"200": {"description": "predictions", "content": {"application/json": {}}}, **problems},
        },
    }


def _answer(problem: Problem) -> Response:
    return Response(problem.body(), problem.status, problem.headers(), MEDIA_TYPE)


async def _http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException | StarletteHTTPException):
        raise error
    return _answer(Problem(error.status_code, str(error.detail)))


async def _known_problem(_: Request, error: Exception) -> Response:
    if not isinstance(error, InvalidRequest | NoModel):
        raise error
    return _answer(error.problem)
