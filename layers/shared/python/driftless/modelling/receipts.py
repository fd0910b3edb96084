"""Receipts: how many predictions of each minute a batch of the prediction log added to the lake.

A receipt is an empty object. Its key holds all the data, so one listing reads a day of receipts. The key contains the batch's
digest and the receipt is written after the predictions: a batch that is delivered again counts once, and only what is in the
lake counts.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from driftless.ports import ObjectLister

PREFIX = "predictions/_receipts/"


def receipt_key(project: str, minute: datetime, lines: int, batch: str) -> str:
    """The key of one receipt.

    Parameters
    ----------
    minute : datetime
        Timezone-aware; when the predictions were made.
    lines : int
        Number of lines, including those that repeat another: each stands for one prediction that was returned.
    batch : str
        Digest of the batch.
    """
    at = minute.astimezone(UTC)
    return f"{PREFIX}{project}/day={at:%Y-%m-%d}/{at:%H%M}-{lines}-{batch}"


def collected(lake: ObjectLister, project: str, since: datetime, until: datetime) -> Counter[datetime]:
    """How many predictions made in each minute (UTC) of ``since <= minute < until`` are in the lake."""
    first, last = since.astimezone(UTC), until.astimezone(UTC)
    days = [first.date() + timedelta(days=number) for number in range((last.date() - first.date()).days + 1)]
    keys = [key for day in days for key in lake.list(f"{PREFIX}{project}/day={day:%Y-%m-%d}/")]
    found: Counter[datetime] = Counter()
    for minute, lines in map(_parts, keys):
        if first <= minute < last:
            found[minute] += lines
    return found


def _parts(key: str) -> tuple[datetime, int]:
    day, name = key.rsplit("/day=", 1)[1].split("/", 1)
    clock, lines, _ = name.split("-", 2)
    return datetime.strptime(f"{day} {clock}+0000", "%Y-%m-%d %H%M%z"), int(lines)
