"""Whether the predictions that were answered came to lie in the lake: two counts of the same minutes, compared.

Inference counts what it answers by a metric out of its log lines, the collector leaves receipts of what it has written, under
the minute it was answered in. So the comparison costs a prediction's way nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from driftless.modelling.receipts import collected
from driftless.ports import MetricReader, ObjectLister

HORIZON = timedelta(hours=24)
"""How far back answers are counted. A batch that fails is tried again for an hour or two, and people need the rest."""
SETTLING = timedelta(minutes=15)
"""How long an answer may be on its way before it counts as missing."""


def uncollected(lake: ObjectLister, metrics: MetricReader, where: dict[str, str], now: datetime) -> int:
    """How many predictions were answered and are not in the lake.

    Parameters
    ----------
    where : dict
        The metric's dimensions of one project of one stage: ``Stage`` and ``Project``.
    now : datetime
        Timezone-aware; counted are the 24 hours that ended a quarter of an hour before.
    """
    until = now.replace(second=0, microsecond=0) - SETTLING
    answered = metrics.minutes("Predictions", where, until - HORIZON, until)
    found = collected(lake, where["Project"], until - HORIZON, until)
    # Minute by minute: what one has too many of, delivered twice in batches of another cut, hides no loss of another.
    return sum(max(0, round(count) - found[minute]) for minute, count in answered.items())
