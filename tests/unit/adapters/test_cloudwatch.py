"""The MetricSink on CloudWatch, against moto."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from driftless.adapters.cloudwatch import CloudWatchMetrics

HERE = {"Stage": "test", "Project": "demo"}


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudWatchMetrics]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield CloudWatchMetrics("Driftless", client=boto3.client("cloudwatch", region_name="eu-west-1"))


def total(metrics: CloudWatchMetrics, name: str, dimensions: dict[str, str]) -> float:
    now = datetime.now(UTC)
    return sum(metrics.minutes(name, dimensions, now - timedelta(minutes=5), now + timedelta(minutes=5)).values())


def test_published_values_add_up_by_name_and_dimensions(metrics: CloudWatchMetrics) -> None:
    metrics.publish({"Predictions": 3, "Errors": 1}, HERE)
    metrics.publish({"Predictions": 4}, HERE)
    metrics.publish({"Predictions": 100}, {"Stage": "test", "Project": "other"})
    assert total(metrics, "Predictions", HERE) == 7
    assert total(metrics, "Errors", HERE) == 1


def test_an_unpublished_metric_has_no_value(metrics: CloudWatchMetrics) -> None:
    assert total(metrics, "Predictions", HERE) == 0.0


def test_only_the_interval_counts(metrics: CloudWatchMetrics) -> None:
    metrics.publish({"Predictions": 3}, HERE)
    now = datetime.now(UTC)
    assert metrics.minutes("Predictions", HERE, now - timedelta(hours=2), now - timedelta(hours=1)) == {}


def test_sums_are_per_minute_in_utc(metrics: CloudWatchMetrics) -> None:
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=3)
    named = [{"Name": name, "Value": value} for name, value in HERE.items()]
    for second, value in ((1, 3.0), (59, 4.0), (60, 5.0)):
        datum = {
            "MetricName": "Predictions",
            "Dimensions": named,
            "Value": value,
            "Timestamp": minute + timedelta(seconds=second),
        }
        metrics._client.put_metric_data(Namespace="Driftless", MetricData=[datum])
    found = metrics.minutes("Predictions", HERE, minute - timedelta(minutes=10), minute + timedelta(minutes=10))
    assert found == {minute: 7.0, minute + timedelta(minutes=1): 5.0}


def test_nan_and_infinity_are_not_published(metrics: CloudWatchMetrics) -> None:
    metrics.publish({"PrimaryMetric": float("nan"), "Predictions": 1}, HERE)
    metrics.publish({"PrimaryMetric": float("inf")}, HERE)
    assert total(metrics, "Predictions", HERE) == 1
    assert total(metrics, "PrimaryMetric", HERE) == 0.0
