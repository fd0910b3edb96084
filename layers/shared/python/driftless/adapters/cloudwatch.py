"""The MetricSink and MetricReader ports on CloudWatch."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from driftless.adapters.aws import translated

_PERIOD = 60


class CloudWatchMetrics:
    """Publishes to one namespace, and reads sums per minute of what was published there.

    Functions count their own work with embedded metrics (:mod:`driftless.core.emf`), which no network call confirms. The levels
    that monitoring publishes raise alarms, so they are put by a call that fails, and is retried, when CloudWatch is unavailable.

    Parameters
    ----------
    namespace : str
    client : boto3 CloudWatch client
    """

    def __init__(self, namespace: str, *, client: Any) -> None:
        self._namespace, self._client = namespace, client

    def publish(self, metrics: dict[str, float], dimensions: dict[str, str]) -> None:
        named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        data = [
            {"MetricName": name, "Dimensions": named, "Value": value} for name, value in metrics.items() if math.isfinite(value)
        ]
        if data:
            with translated(f"publish {len(data)} metrics"):
                self._client.put_metric_data(Namespace=self._namespace, MetricData=data)

    def minutes(self, name: str, dimensions: dict[str, str], since: datetime, until: datetime) -> dict[datetime, float]:
        named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
        metric = {"Namespace": self._namespace, "MetricName": name, "Dimensions": named}
        query = {"Id": "sums", "MetricStat": {"Metric": metric, "Period": _PERIOD, "Stat": "Sum"}}
        found: dict[datetime, float] = {}
        token: dict[str, str] = {}
        while True:
            with translated(f"add up {name}"):
                response = self._client.get_metric_data(MetricDataQueries=[query], StartTime=since, EndTime=until, **token)
            for result in response["MetricDataResults"]:
                for minute, value in zip(result["Timestamps"], result["Values"], strict=True):
                    found[minute.astimezone(UTC)] = value
            if not response.get("NextToken"):
                return found
            token = {"NextToken": response["NextToken"]}
