"""A served project in memory: its models, its prediction log and a client that sends API Gateway events."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from driftless.adapters.ecdsa import EcdsaVerifier
from driftless.definition.project import Project
from driftless.serving.inference.app import Api, create_handler
from driftless.serving.inference.champions import Champions
from driftless.serving.inference.predict import Predict
from driftless.serving.inference.prediction_log import PredictionLog
from driftless.testing.memory import MemoryStore
from tests.unit.modelling.models import Key
from tests.unit.modelling.projects import definition

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(method: str, path: str, body: str | bytes | None = None, **extra: Any) -> dict[str, Any]:
    """A REST API (v1) proxy event as API Gateway sends it."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {"Content-Type": "application/json", "Host": "api.example.com"},
        "multiValueHeaders": {"Content-Type": ["application/json"], "Host": ["api.example.com"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"stage": "prod", "path": f"/prod{path}", "identity": {"sourceIp": "192.0.2.1"}},
        "body": body.decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": False,
        **extra,
    }


@dataclass
class Served:
    """One project behind the API, with a clock the test moves and everything it wrote."""

    project: Project
    store: Any
    key: Key
    seconds: list[float]
    written: list[str] = field(default_factory=list)
    reports: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    application: Any = None
    sink: Callable[[str], object] | None = None

    def call(self, method: str, path: str, body: Any = None, **extra: Any) -> tuple[int, Any, dict[str, str]]:
        """Status, parsed body and headers (lower case) of one event; ``body`` may be text or what becomes JSON."""
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        response = self.application(event(method, path, text, **extra), None)
        assert response["isBase64Encoded"] is False
        headers = {name.lower(): value for name, value in response["headers"].items()}
        is_json = "json" in headers.get("content-type", "")
        return response["statusCode"], json.loads(response["body"]) if is_json else response["body"], headers

    def predict(self, *records: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        return self.call("POST", f"/{self.project.name}/predictions", {"records": list(records)})

    def write(self, text: str) -> None:
        (self.sink or self.written.append)(text)

    def redirect(self, sink: Callable[[str], object]) -> None:
        """Send what the prediction log writes to another sink from now on."""
        self.sink = sink

    def lines(self, kind: str | None = "prediction") -> list[dict[str, Any]]:
        """Logged lines of one kind (None: metric lines), each write ending in a line break."""
        assert all(text.endswith("\n") for text in self.written)
        found = [json.loads(line) for line in "".join(self.written).splitlines()]
        return [line for line in found if line.get("kind") == kind]


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Serve:
    """Builds a :class:`Served` for a project (default: the binary one) over a store (default: empty, in memory)."""

    def build(project: Project | None = None, store: Any = None) -> Served:
        project = project or definition()
        served = Served(project, store or MemoryStore(), Key(), [0.0])
        champions = Champions(
            project,
            store=served.store,
            verifier=EcdsaVerifier(),
            monotonic=lambda: served.seconds[0],
            report=lambda name, facts: served.reports.append((name, facts)),
        )
        prediction_log = PredictionLog(project, stage="test", write=served.write)
        predictor = Predict(project, champions=champions, prediction_log=prediction_log, clock=lambda: NOW)
        numbers = count(1)
        api = Api(predictors={project.name: predictor}, new_request_id=lambda: f"request-{next(numbers)}", version="1")
        served.application = create_handler(api)
        return served

    return build
