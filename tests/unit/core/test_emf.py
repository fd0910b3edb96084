"""Embedded metrics as CloudWatch reads them, and the clock that dates them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from driftless.core.clock import utc_now
from driftless.core.emf import emf_line, emit

TIME = datetime(2013, 5, 1, 12, tzinfo=UTC)


def test_a_line_names_its_metrics_and_dimensions() -> None:
    line = emf_line({"Lines": (3, "Count")}, {"Stage": "dev"}, TIME)
    directive = {"Namespace": "Driftless", "Dimensions": [["Stage"]], "Metrics": [{"Name": "Lines", "Unit": "Count"}]}
    assert json.loads(line) == {
        "_aws": {"Timestamp": 1367409600000, "CloudWatchMetrics": [directive]},
        "Stage": "dev",
        "Lines": 3,
    }


def test_a_version_is_also_counted_in_its_project() -> None:
    line = emf_line({"Lines": (3, "Count")}, {"Stage": "dev", "Version": "1"}, TIME)
    assert json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Stage", "Version"], ["Stage"]]


def test_metrics_are_emitted_as_one_line_of_this_moment(capsys: pytest.CaptureFixture[str]) -> None:
    before = utc_now()
    emit({"Lines": (3, "Count")}, {"Stage": "dev"})
    (line,) = capsys.readouterr().out.splitlines()
    found = datetime.fromtimestamp(json.loads(line)["_aws"]["Timestamp"] / 1000, UTC)
    assert before - timedelta(milliseconds=1) <= found <= utc_now()


def test_the_time_is_in_utc() -> None:
    assert utc_now().utcoffset() == timedelta(0)
