"""AWS documentation, "Available CloudWatch metrics for Amazon SQS": a number each minute, here also after a change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_cloud.mends import service_metrics

QUEUE = ("000000000000", "us-east-1", "queue")
MINUTE = 60.0


@pytest.fixture(autouse=True)
def nothing_published() -> Iterator[None]:
    service_metrics._published.clear()
    yield
    service_metrics._published.clear()


def test_the_number_of_an_idle_queue_is_published_once_a_minute() -> None:
    moments = [10 * MINUTE + 5 * number for number in range(36)]
    published = [moment for moment in moments if service_metrics.must_publish(QUEUE, 0, moment)]
    assert [moment // MINUTE for moment in published] == [10, 11, 12]


def test_a_changed_number_is_published_at_once() -> None:
    assert [service_metrics.must_publish(QUEUE, number, MINUTE) for number in (0, 0, 3, 3, 0)] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_queues_with_the_same_name_in_two_regions_are_separate() -> None:
    assert service_metrics.must_publish(QUEUE, 1, MINUTE)
    assert service_metrics.must_publish(("000000000000", "eu-west-1", "queue"), 1, MINUTE)
