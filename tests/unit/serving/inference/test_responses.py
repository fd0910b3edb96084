"""What a client gets for a good request, for each task."""

from __future__ import annotations

import math

import pytest

from tests.unit.modelling.models import point, publish
from tests.unit.modelling.projects import RECORD, definition
from tests.unit.serving.inference.conftest import Serve


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_a_binary_project_returns_the_probability_of_true(serve: Serve) -> None:
    served = serve()
    point(served.store, served.project, {7: publish(served.store, served.project, 7, served.key)}, champion=7)
    status, body, headers = served.predict(RECORD, {**RECORD, "temp": -2})
    assert status == 200
    assert headers["x-request-id"] == "request-1"
    assert {key: body[key] for key in ("project", "model_version", "variant")} == {
        "project": "demo",
        "model_version": 7,
        "variant": "champion",
    }
    first, second = body["predictions"]
    assert first["id"] == "request-1-0" and second["id"] == "request-1-1"
    assert first["prediction"] is True and second["prediction"] is False
    assert first["probability"] == pytest.approx(sigmoid(1.5), abs=1e-6)
    assert second["probability"] == pytest.approx(sigmoid(-2), abs=1e-6)


def test_a_multiclass_project_returns_every_class(serve: Serve) -> None:
    served = serve(definition("multiclass"))
    point(served.store, served.project, {1: publish(served.store, served.project, 1, served.key)}, champion=1)
    status, body, _ = served.predict(RECORD)
    assert status == 200
    (prediction,) = body["predictions"]
    assert prediction["prediction"] == "yes"
    assert prediction["probabilities"] == {
        "no": pytest.approx(1 - sigmoid(1.5), abs=1e-6),
        "yes": pytest.approx(sigmoid(1.5), abs=1e-6),
    }


def test_a_regression_project_returns_only_a_number(serve: Serve) -> None:
    served = serve(definition("regression"))
    point(served.store, served.project, {1: publish(served.store, served.project, 1, served.key, bias=10)}, champion=1)
    status, body, _ = served.predict(RECORD)
    assert status == 200
    assert body["predictions"] == [{"id": "request-1-0", "prediction": 11.5}]


def test_a_prediction_that_is_not_a_number_is_a_counted_failure(serve: Serve) -> None:
    served = serve(definition("regression"))
    point(served.store, served.project, {1: publish(served.store, served.project, 1, served.key, bias=math.inf)}, champion=1)
    # Raised, so that Lambda counts it as an error of the function; API Gateway responds to the client.
    with pytest.raises(ArithmeticError, match="the model returned inf"):
        served.predict(RECORD, RECORD)
    assert served.lines() == []
    (metric,) = served.lines(None)
    assert (metric["PredictionErrors"], metric["Version"]) == (2, "1")


def test_the_model_page_shows_who_serves(serve: Serve) -> None:
    served = serve()
    digest = publish(served.store, served.project, 7, served.key)
    point(served.store, served.project, {7: digest}, champion=7, revision=3)
    status, body, _ = served.call("GET", "/demo/model")
    assert status == 200
    assert (body["champion"]["version"], body["challenger"], body["revision"]) == (7, None, 3)
    assert body["champion"]["manifest"]["metrics"] == {"log_loss": 0.5}
