"""Put files into the landing bucket, and wait until each was ingested or rejected.

Safe to repeat: the content's sha256 is stored as object metadata. A file whose content is already there
and was ingested under today's definition is not sent again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from cli.shared import executions, history
from cli.shared.console import Output
from cli.shared.failures import Failure
from cli.shared.platform import EVERY, Platform, read_project
from cli.shared.rows import sha256_of
from driftless.core.layout.lake import reported_under
from driftless.core.layout.landing import landing_key
from driftless.core.layout.parameters import bucket_parameter
from driftless.records import RecordedIngest

INGEST_DEADLINE_SECONDS = 900.0
POLL_SECONDS = 0.5
LONGEST_POLL_SECONDS = 5.0
# Clocks of this machine and the service may differ by this much.
CLOCK_SLACK = timedelta(minutes=2)


@dataclass(frozen=True)
class Pushed:
    """One file in the landing bucket; ``sent`` is False when the same content was there before."""

    file: str
    key: str
    version_id: str | None
    sha256: str
    size: int
    sent: bool


@dataclass(frozen=True)
class Ingested:
    """Result of a file's ingest execution; for a file not sent again, from the registry (``execution`` is None)."""

    pushed: Pushed
    execution: str | None
    status: str
    rows: int
    accepted_rows: int
    quarantined_rows: int
    table_version: int | None
    duplicate: bool
    reasons: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The JSON document of the result."""
        return {
            "file": self.pushed.file,
            "key": self.pushed.key,
            "sha256": self.pushed.sha256,
            "size": self.pushed.size,
            "sent": self.pushed.sent,
            "execution": self.execution,
            "status": self.status,
            "rows": self.rows,
            "accepted_rows": self.accepted_rows,
            "quarantined_rows": self.quarantined_rows,
            "table_version": self.table_version,
            "duplicate": self.duplicate,
            "reasons": list(self.reasons),
        }


def upload(platform: Platform, out: Output, project: str, dataset: str, files: Sequence[Path]) -> tuple[list[Pushed], datetime]:
    """Send files that are not ingested yet; the files, and the time before the first was sent.

    Raises
    ------
    Failure
        Before anything is sent, when two files would have the same key.
    """
    names = [path.name for path in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Failure(
            "arguments",
            f"several files have the name {', '.join(twice)}, which is their key in the landing bucket",
            "rename them, or push them one after the other",
        )
    client, bucket = platform.client("s3"), platform.parameter(bucket_parameter("landing"))
    known, since = ingested(platform, project, dataset), datetime.now(UTC)
    # A report's key contains the definition's digest: another definition may validate the file differently.
    definition = read_project(project).features_digest
    pushed: list[Pushed] = []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=out.progress, transient=True, disable=not out.progress.is_terminal) as progress:
        for path in files:
            key, digest, size = landing_key(project, dataset, path.name), sha256_of(path), path.stat().st_size
            task = progress.add_task(escape(path.name), total=size)
            version = present(platform, bucket, key, digest)
            ingest = known.get((key, digest))
            if version is None or ingest is None or not reported_under(ingest.report, definition):
                metadata = {"Metadata": {"sha256": digest}}
                client.upload_file(
                    str(path), bucket, key, ExtraArgs=metadata, Callback=lambda sent, task=task: progress.advance(task, sent)
                )
                head = client.head_object(Bucket=bucket, Key=key)
                pushed.append(Pushed(str(path), key, head.get("VersionId"), digest, size, sent=True))
            else:
                pushed.append(Pushed(str(path), key, version[0], digest, size, sent=False))
    return pushed, since


def present(platform: Platform, bucket: str, key: str, digest: str) -> tuple[str | None] | None:
    """The S3 version that already holds this content under this key, in a tuple; None when it does not."""
    try:
        head = platform.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
            return None
        raise
    return (head.get("VersionId"),) if head["Metadata"].get("sha256") == digest else None


def ingested(platform: Platform, project: str, dataset: str) -> dict[tuple[str, str], RecordedIngest]:
    """Ingests in the registry by object key and sha256 of the content; the latest of each."""
    ingests = platform.registry.ingests(project, dataset, limit=EVERY)
    return {(ingest.key, ingest.sha256): ingest for ingest in reversed(ingests)}


def wait(
    platform: Platform,
    out: Output,
    pushed: Sequence[Pushed],
    since: datetime,
    *,
    deadline: float = INGEST_DEADLINE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Ingested]:
    """Wait for the ingest of each file; one result per file, in order.

    The result of a file that was not sent comes from the registry, that of a sent one from its execution.

    Raises
    ------
    Failure
        When an execution failed, or did not end within ``deadline`` seconds.
    """
    done: dict[Pushed, Ingested] = {}
    for file in pushed:
        if not file.sent:
            project, dataset, _ = file.key.split("/", 2)
            done[file] = _registered(file, ingested(platform, project, dataset)[file.key, file.sha256])
    until, pause = time.monotonic() + deadline, POLL_SECONDS
    with out.progress.status("waiting for ingest") as spinner:
        while len(done) < len(pushed):
            ingests = [_described(platform, summary) for summary in _began(platform, since - CLOCK_SLACK)]
            for file in pushed:
                found = None if file in done else _ended(platform, file, ingests)
                if found is not None:
                    done[file] = _read(file, found)
            if len(done) == len(pushed):
                break
            if time.monotonic() > until:
                missing = ", ".join(file.key for file in pushed if file not in done)
                raise Failure(
                    "ingest",
                    f"no finished execution for {missing} after {deadline:.0f} s",
                    "`driftless pipelines list --machine ingest`",
                )
            spinner.update(f"waiting for ingest: {len(done)} of {len(pushed)} files")
            sleep(pause)
            pause = min(pause * 1.2, LONGEST_POLL_SECONDS)
    return [done[file] for file in pushed]


def _began(platform: Platform, since: datetime) -> list[dict[str, Any]]:
    return executions.recent(platform, "ingest", lambda _: True, limit=EVERY, since=since)


def _ended(platform: Platform, file: Pushed, ingests: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The ingest of one object version among ``ingests`` (newest first); None until it has ended.

    Raises
    ------
    Failure
        When its last execution failed.
    """
    for facts in ingests:
        source = json.loads(facts.get("input") or "{}").get("detail", {}).get("object", {})
        if source.get("key") != file.key or (file.version_id and source.get("version-id") not in (None, file.version_id)):
            continue
        if facts["status"] == history.RUNNING:
            return None
        if facts["status"] != history.SUCCEEDED:
            executions.require_success(executions.read(platform, facts["executionArn"]))
        return facts
    return None


def _described(platform: Platform, summary: dict[str, Any]) -> dict[str, Any]:
    """DescribeExecution, called once while the execution runs and once after its end."""
    arn, known = summary["executionArn"], platform.described_executions
    if arn not in known or known[arn]["status"] != summary["status"]:
        known[arn] = executions.described(platform, arn) or summary
    return known[arn]


def _registered(file: Pushed, ingest: RecordedIngest) -> Ingested:
    kept, aside = ingest.rows, ingest.quarantined_rows
    return Ingested(file, None, "accepted", kept + aside, kept, aside, ingest.version, duplicate=False, reasons=())


def _read(file: Pushed, facts: dict[str, Any]) -> Ingested:
    output = json.loads(facts.get("output") or "{}")
    verdict = output.get("validation", output)
    committed = output.get("ingestion") or {}
    return Ingested(
        file,
        facts["name"],
        verdict["status"],
        verdict["rows"],
        verdict["accepted_rows"],
        verdict["quarantined_rows"],
        committed.get("version"),
        bool(committed.get("duplicate")),
        tuple(verdict["reasons"]),
    )
