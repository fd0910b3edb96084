"""Predictions that never reached the lake: inference's metric against the collector's receipts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from driftless.core.layout.lake import receipt_key
from driftless.monitoring.collection import HORIZON, SETTLING, uncollected
from tests.unit.monitoring.conftest import NOW, Monitored

WHERE = {"Stage": "test", "Project": "demo"}
UNTIL = NOW - SETTLING


def counted(case: Monitored, name: str, count: float, at: datetime, project: str = "demo") -> None:
    case.metrics.published.append((at, {name: count}, WHERE | {"Project": project}))


@pytest.mark.parametrize(
    ("predicted", "collected", "missing"), [(1000, 1000, 0), (1000, 990, 10), (1000, 0, 1000), (990, 1000, 0), (0, 0, 0)]
)
def test_uncollected_predictions_are_published(
    monitored: Callable[..., Monitored], predicted: int, collected: int, missing: int
) -> None:
    case = monitored()
    counted(case, "Predictions", predicted, UNTIL - timedelta(hours=3))
    case.lake.put(receipt_key("demo", UNTIL - timedelta(hours=3), collected, "a"), b"")
    record = case.judge()
    assert record.uncollected == missing
    assert case.published()["UncollectedPredictions"] == missing


def test_uncollected_predictions_are_counted_without_a_window_and_reported(monitored: Callable[..., Monitored]) -> None:
    case = monitored()
    counted(case, "Predictions", 7, UNTIL - timedelta(minutes=1))
    assert (case.judge().predictions, case.judge().uncollected) == (0, 7)
    case.predict({name: [None] for name in ("temp", "seats", "origin", "carrier", "night")}, [{"prediction": True}])
    record = case.judge()
    assert record.report is not None
    assert json.loads(case.lake.get(record.report.key))["uncollected"] == 7
    assert case.registry.monitoring("demo")[0].uncollected == 7


def test_recent_and_old_predictions_do_not_count(monitored: Callable[..., Monitored]) -> None:
    case = monitored()
    for moment in (UNTIL, NOW, UNTIL - HORIZON - timedelta(seconds=1)):
        counted(case, "Predictions", 5, moment)
    counted(case, "Predictions", 5, UNTIL - timedelta(hours=1), "other")
    assert uncollected(case.lake, case.metrics, WHERE, NOW) == 0
    counted(case, "Predictions", 3, UNTIL - HORIZON)
    for moment in (UNTIL, UNTIL - HORIZON - timedelta(minutes=1)):
        case.lake.put(receipt_key("demo", moment, 2, "a"), b"")
    assert uncollected(case.lake, case.metrics, WHERE, NOW) == 3


def test_a_minute_stored_twice_hides_no_lost_minute(monitored: Callable[..., Monitored]) -> None:
    case = monitored()
    lost, doubled = UNTIL - timedelta(hours=2), UNTIL - timedelta(hours=1)
    for moment in (lost, doubled):
        counted(case, "Predictions", 4, moment)
        counted(case, "Predictions", 1, moment + timedelta(seconds=59))
    for batch in ("a", "b"):
        case.lake.put(receipt_key("demo", doubled, 5, batch), b"")
    assert uncollected(case.lake, case.metrics, WHERE, NOW) == 5
