"""Receipts: how many of the answers that were given in a minute a batch of the journal brought into the lake.

A receipt is an empty object whose key says everything, so that a day of them is read by listing. It is named by its batch and is
written after the batch's predictions: a batch that comes again counts once, and nothing counts that is not there.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from driftless.ports import ObjectStore

PREFIX = "predictions/_receipts/"


def receipt_key(project: str, minute: datetime, lines: int, batch: str) -> str:
    """The key of one receipt.

    Parameters
    ----------
    minute : datetime
        Timezone-aware; when the lines were answered.
    lines : int
        How many there were, those that repeat another included: each was an answer.
    batch : str
        Digest of the batch.
    """
    at = minute.astimezone(UTC)
    return f"{PREFIX}{project}/day={at:%Y-%m-%d}/{at:%H%M}-{lines}-{batch}"


def collected(lake: ObjectStore, project: str, since: datetime, until: datetime) -> Counter[datetime]:
    """How many of the answers given in each minute (UTC) of ``since <= minute < until`` are in the lake."""
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
