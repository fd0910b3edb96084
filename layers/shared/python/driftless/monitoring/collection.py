"""Checks that every prediction reached the lake, by comparing two counts minute by minute.

Inference counts its predictions with a metric extracted from its log lines. The collector writes
receipts of what it stored, under the minute of the prediction. So the check adds nothing to the
latency of a prediction.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from driftless.modelling.receipts import collected
from driftless.ports import MetricReader, ObjectLister

HORIZON = timedelta(hours=24)
"""How far back predictions are counted.

A failed batch is retried for up to two hours; the rest of the time is for people to act.
"""
SETTLING = timedelta(minutes=15)
"""How long a prediction may take from response to lake before it counts as missing."""


def uncollected(lake: ObjectLister, metrics: MetricReader, where: dict[str, str], now: datetime) -> int:
    """Count the predictions that were made and are not in the lake.

    Parameters
    ----------
    where : dict
        The metric's dimensions of one project of one stage: ``Stage`` and ``Project``.
    now : datetime
        Timezone-aware. The 24 hours that ended 15 minutes before are counted.
    """
    until = now.replace(second=0, microsecond=0) - SETTLING
    predicted = metrics.minutes("Predictions", where, until - HORIZON, until)
    found = collected(lake, where["Project"], until - HORIZON, until)
    # By the minute, so that a minute stored twice (redelivered in other batches) cannot hide the
    # loss of another.
    return sum(max(0, round(count) - found[minute]) for minute, count in predicted.items())
