"""Send a month's rows to the API, then their labels.

Request ids are derived from project, month and position. An interrupted replay sends the same ids again, and the
platform stores each prediction once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.demo.flights import Month, Row
from cli.shared.console import Output
from cli.shared.failures import Failure
from cli.shared.platform import Platform
from cli.shared.rows import chunks
from cli.shared.signing import Api

RECORDS_PER_REQUEST = 100
LABELS_PER_REQUEST = 500


@dataclass(frozen=True)
class Replayed:
    """Ids of the predictions, and the number of labels accepted."""

    ids: frozenset[str]
    labels: int


def request_id(project: str, month: Month, position: int) -> str:
    """Id of one request of the replay, the same in every run."""
    return str(uuid5(NAMESPACE_URL, f"driftless-demo/{project}/{month}/{position}"))


def replay(platform: Platform, out: Output, project: str, month: Month, rows: Sequence[Row]) -> Replayed:
    """Send the rows and labels of a month.

    Raises
    ------
    Failure
        When the API refuses a request, or does not return one prediction per row.
    """
    ids: set[str] = set()
    truth: list[dict[str, Any]] = []
    requests = list(chunks(rows, RECORDS_PER_REQUEST))
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Api(platform) as api,
        Progress(*columns, console=out.progress, transient=True, disable=not out.progress.is_terminal) as progress,
    ):
        task = progress.add_task(f"requests of {month}", total=len(requests))
        for position, chunk in enumerate(requests):
            body = {"records": [row.record for row in chunk]}
            reply = api.post(f"/{project}/predictions", body, request_id=request_id(project, month, position))
            answered = [prediction["id"] for prediction in reply["predictions"]]
            if len(answered) != len(chunk):
                raise Failure(
                    f"replay of {month}",
                    f"{len(chunk)} rows sent, {len(answered)} predictions returned",
                    "`driftless logs inference`",
                )
            ids.update(answered)
            truth += [
                {"id": identity, "label": row.late, "observed_at": row.known_at.isoformat()}
                for identity, row in zip(answered, chunk, strict=True)
                if row.late is not None
            ]
            progress.advance(task)
        accepted = sum(api.post(f"/{project}/labels", {"labels": part})["accepted"] for part in chunks(truth, LABELS_PER_REQUEST))
    return Replayed(frozenset(ids), accepted)
