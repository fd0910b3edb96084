"""What is written before the response is returned."""

from __future__ import annotations

import pytest

from driftless.records import Prediction
from tests.unit.modelling.models import point, publish
from tests.unit.modelling.projects import RECORD
from tests.unit.serving.inference.conftest import NOW, Serve, Served


@pytest.fixture
def served(serve: Serve) -> Served:
    found = serve()
    point(found.store, found.project, {4: publish(found.store, found.project, 4, found.key)}, champion=4)
    return found


def test_each_prediction_is_one_line_of_the_published_record(served: Served) -> None:
    _, body, _ = served.predict({**RECORD, "at": "2013-05-01T12:00:00+02:00"}, {**RECORD, "temp": None})
    (text,) = served.written
    lines = text.splitlines()
    first, second = (Prediction.model_validate_json(line) for line in lines[:2])
    assert [first.id, second.id] == [item["id"] for item in body["predictions"]]
    assert (first.project, first.version, first.variant, first.time) == ("demo", 4, "champion", NOW)
    assert first.request_id == second.request_id == "request-1"
    assert first.event_time is not None and first.event_time.isoformat() == "2013-05-01T10:00:00+00:00"
    assert second.event_time is None
    assert first.output["prediction"] is True
    assert first.output["probabilities"]["true"] == body["predictions"][0]["probability"]
    assert sum(first.output["probabilities"].values()) == pytest.approx(1)
    assert first.latency_us > 0


def test_personal_data_stays_out_of_the_line(served: Served) -> None:
    served.predict({**RECORD, "name": "Ada Lovelace", "key": "customer-1"})
    assert "Ada" not in "".join(served.written)
    assert "customer-1" not in "".join(served.written)
    (line,) = served.lines()
    assert line["inputs"] == {name: value for name, value in RECORD.items() if name != "name"}


def test_a_feature_that_was_left_out_is_logged_as_null(served: Served) -> None:
    served.predict({name: value for name, value in RECORD.items() if name != "temp"})
    assert served.lines()[0]["inputs"]["temp"] is None


def test_line_breaks_in_values_do_not_break_lines(served: Served) -> None:
    served.predict({**RECORD, "carrier": "a\nb\u2028c\u0085d"})
    (line,) = served.lines()
    assert line["inputs"]["carrier"] == "a\nb\u2028c\u0085d"
    assert "".join(served.written).isascii()


def test_metrics_go_out_with_the_lines_in_embedded_format(served: Served) -> None:
    served.predict(RECORD, RECORD)
    (metric,) = served.lines(None)
    (directive,) = metric["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Driftless"
    assert directive["Dimensions"] == [["Stage", "Project", "Version"], ["Stage", "Project"]]
    assert {item["Name"]: item["Unit"] for item in directive["Metrics"]} == {
        "Predictions": "Count",
        "PredictionErrors": "Count",
        "Latency": "Milliseconds",
    }
    assert (metric["Stage"], metric["Project"], metric["Version"]) == ("test", "demo", "4")
    assert (metric["Predictions"], metric["PredictionErrors"]) == (2, 0)
    assert metric["_aws"]["Timestamp"] == int(NOW.timestamp() * 1000)


def test_a_prediction_that_cannot_be_logged_is_not_returned(served: Served) -> None:
    def closed(text: str) -> None:
        raise OSError("standard output is closed")

    served.redirect(closed)
    with pytest.raises(OSError, match="standard output is closed"):
        served.predict(RECORD)
    served.sink = None
    assert served.predict(RECORD)[0] == 200
