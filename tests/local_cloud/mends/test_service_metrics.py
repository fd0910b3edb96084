"""AWS documentation, "Available CloudWatch metrics for Amazon SQS": a number a minute, here also as soon as it changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_cloud.mends import service_metrics

QUEUE = ("000000000000", "us-east-1", "queue")
MINUTE = 60.0


@pytest.fixture(autouse=True)
def nothing_told() -> Iterator[None]:
    service_metrics._told.clear()
    yield
    service_metrics._told.clear()


def test_an_idle_queue_is_told_of_once_in_every_minute() -> None:
    moments = [10 * MINUTE + 5 * number for number in range(36)]
    told = [moment for moment in moments if service_metrics.worth_telling(QUEUE, 0, moment)]
    assert [moment // MINUTE for moment in told] == [10, 11, 12]


def test_a_number_that_changed_is_told_at_once() -> None:
    assert [service_metrics.worth_telling(QUEUE, number, MINUTE) for number in (0, 0, 3, 3, 0)] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_queues_of_one_name_in_two_regions_are_told_apart() -> None:
    assert service_metrics.worth_telling(QUEUE, 1, MINUTE)
    assert service_metrics.worth_telling(("000000000000", "eu-west-1", "queue"), 1, MINUTE)
