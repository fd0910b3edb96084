"""Embedded Metric Format lines become metrics."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.mends.emf import InvalidEmbeddedMetrics, extract
from tests.local_cloud.conftest import eventually
from tests.local_cloud.mends.conftest import Recorder

Clients = Callable[[str], Any]


def line(namespace: str, **members: Any) -> dict[str, Any]:
    """Return an embedded metric document with two dimension sets."""
    return {
        "_aws": {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": namespace,
                    "Dimensions": [["Stage"], ["Stage", "Project"]],
                    "Metrics": [{"Name": "Latency", "Unit": "Milliseconds"}, {"Name": "Rows"}],
                }
            ],
        },
        "Stage": "local",
        "Project": "flights",
        **members,
    }


def test_metrics_that_a_function_prints_are_published(client: Clients, recorder: Callable[..., Recorder]) -> None:
    """CloudWatch documentation: "Specification: Embedded metric format"."""
    namespace = f"emf-{uuid.uuid4().hex[:8]}"
    function = recorder()
    function.invoke({"print": [line(namespace, Latency=[10, 20], Rows=5), line(namespace, Latency=30)]})
    cloudwatch = client("cloudwatch")

    def metrics() -> list[Any]:
        return list(cloudwatch.list_metrics(Namespace=namespace)["Metrics"])

    eventually(lambda: len(metrics()) == 4)
    assert {(m["MetricName"], len(m["Dimensions"])) for m in metrics()} == {
        ("Latency", 1),
        ("Latency", 2),
        ("Rows", 1),
        ("Rows", 2),
    }
    dimensions = [{"Name": "Stage", "Value": "local"}, {"Name": "Project", "Value": "flights"}]
    now = time.time()
    answer = cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName="Latency",
        Dimensions=dimensions,
        StartTime=now - 300,
        EndTime=now + 60,
        Period=3600,
        Statistics=["SampleCount", "Sum", "Maximum"],
    )
    points = answer["Datapoints"]
    assert sum(point["SampleCount"] for point in points) == 3
    assert sum(point["Sum"] for point in points) == 60
    assert {point["Unit"] for point in points} == {"Milliseconds"}
    query = {
        "Id": "m",
        "MetricStat": {
            "Metric": {"Namespace": namespace, "MetricName": "Rows", "Dimensions": dimensions},
            "Period": 3600,
            "Stat": "Sum",
        },
    }
    (result,) = cloudwatch.get_metric_data(MetricDataQueries=[query], StartTime=now - 7200, EndTime=now + 60)["MetricDataResults"]
    assert sum(result["Values"]) == 5


def test_an_embedded_metric_triggers_an_alarm(client: Clients, recorder: Callable[..., Recorder]) -> None:
    namespace = f"emf-{uuid.uuid4().hex[:8]}"
    client("cloudwatch").put_metric_alarm(
        AlarmName=namespace,
        Namespace=namespace,
        MetricName="Latency",
        Dimensions=[{"Name": "Stage", "Value": "local"}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=100,
        ComparisonOperator="GreaterThanThreshold",
    )
    recorder().invoke({"print": [line(namespace, Latency=101)]})

    def state() -> str:
        (alarm,) = client("cloudwatch").describe_alarms(AlarmNames=[namespace])["MetricAlarms"]
        return str(alarm["StateValue"])

    eventually(lambda: state() == "ALARM")


@pytest.mark.parametrize("text", ["plain", '{"a": 1}', '{"_aws": 1}', '{"_aws": {"Timestamp": 1}}', '"_aws" broken {'])
def test_other_lines_have_no_metrics(text: str) -> None:
    assert extract(text) == []


def test_a_document_that_violates_the_specification_is_rejected() -> None:
    untimed = line("n", Latency=1)
    untimed["_aws"]["Timestamp"] = "yesterday"
    for broken in (line("n", Latency="fast"), line("n", Stage=1, Latency=1), line("n", Latency=[1] * 101), untimed):
        with pytest.raises(InvalidEmbeddedMetrics):
            extract(json.dumps(broken))


def test_a_metric_without_a_value_in_the_document_is_skipped() -> None:
    assert {name for _, name, *_ in extract(json.dumps(line("n", Rows=1)))} == {"Rows"}
