"""Receipts: how many predictions of each minute a batch of the prediction log added to the lake.

A receipt is an empty object. Its key holds all the data, so one listing reads a day of receipts. The key contains the batch's
digest and the receipt is written after the predictions: a batch that is delivered again counts once, and only what is in the
lake counts.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from driftless.core.layout.lake import parse_receipt, receipts_day
from driftless.ports import ObjectLister


def collected(lake: ObjectLister, project: str, since: datetime, until: datetime) -> Counter[datetime]:
    """How many predictions made in each minute (UTC) of ``since <= minute < until`` are in the lake."""
    first, last = since.astimezone(UTC), until.astimezone(UTC)
    days = [first.date() + timedelta(days=number) for number in range((last.date() - first.date()).days + 1)]
    keys = [key for day in days for key in lake.list(receipts_day(project, day))]
    found: Counter[datetime] = Counter()
    for minute, lines in map(parse_receipt, keys):
        if first <= minute < last:
            found[minute] += lines
    return found
