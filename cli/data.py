"""``driftless data``: put files into the landing bucket and wait until the lake has taken or refused them.

Safe to repeat: the content's sha256 travels as object metadata, and a file whose content already lies there and was ingested is
not sent again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from cli import executions
from cli.console import JsonOption, Output, ProjectArgument, StageOption, coloured, table
from cli.failures import Failure, next_step_for
from cli.platform import Platform, connect, read_project
from cli.rows import sha256_of

app = typer.Typer(help="Data sets of a project.", no_args_is_help=True)
INGEST_DEADLINE_SECONDS = 900.0
POLL_SECONDS = 0.5
# Clocks of this machine and the service may differ by this much.
CLOCK_SLACK = timedelta(minutes=2)


@dataclass(frozen=True)
class Pushed:
    """One file in the landing bucket; ``sent`` is False when the same content was already there."""

    file: str
    key: str
    version_id: str | None
    sha256: str
    size: int
    sent: bool


@dataclass(frozen=True)
class Ingested:
    """What the ingest execution of a file said."""

    pushed: Pushed
    execution: str
    status: str
    rows: int
    accepted_rows: int
    quarantined_rows: int
    table_version: int | None
    duplicate: bool
    reasons: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The machine-readable form."""
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


@app.command("push")
def push_command(
    project: ProjectArgument,
    dataset: Annotated[str, typer.Argument(help="Dataset of the project, as project.toml names it.")],
    files: Annotated[list[Path], typer.Argument(help="CSV, JSON lines or Parquet files.", exists=True, dir_okay=False)],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return once the files are in the landing bucket.")] = False,
    stage: StageOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Upload files, wait for their ingestion, and tell what was accepted, quarantined or rejected and why.

    Example: [bold]driftless data push flights weather weather-2013-05.csv[/bold]
    """
    out = Output(as_json)
    definition = read_project(project)
    if dataset not in definition.datasets:
        known = ", ".join(definition.datasets)
        raise Failure("arguments", f"project {project} has no dataset {dataset!r}; it has: {known}", "check the name")
    platform = connect(stage)
    pushed, since = upload(platform, out, project, dataset, files)
    if no_wait:
        if as_json:
            out.document({"files": [vars(file) for file in pushed]})
        return
    results = wait(platform, out, pushed, since)
    if as_json:
        out.document({"files": [result.document() for result in results]})
    else:
        out.show(table("Ingested", ("file", "verdict", "rows", "accepted", "quarantined", "reasons"), map(_row, results)))
    refused = [result for result in results if result.status != "accepted"]
    if refused:
        reasons = "; ".join(refused[0].reasons) or refused[0].status
        raise Failure(f"ingest of {refused[0].pushed.file}", reasons, next_step_for("DataRejected"))


def _row(result: Ingested) -> tuple[object, ...]:
    verdict = coloured(
        result.status + (" (already there)" if not result.pushed.sent else ""), "ok" if result.status == "accepted" else "bad"
    )
    return (result.pushed.file, verdict, result.rows, result.accepted_rows, result.quarantined_rows, "; ".join(result.reasons))


def upload(
    platform: Platform, out: Output, project: str, dataset: str, files: Sequence[Path], *, names: Sequence[str] | None = None
) -> tuple[list[Pushed], datetime]:
    """Send what is not there yet; the files, and the moment before the first was sent.

    Parameters
    ----------
    names : sequence of str, optional
        Object names beside ``files``; by default the files' own.
    """
    client, bucket = platform.client("s3"), platform.parameter("buckets/landing")
    since = datetime.now(UTC)
    pushed: list[Pushed] = []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=out.progress, transient=True, disable=not out.progress.is_terminal) as progress:
        for path, name in zip(files, names or [path.name for path in files], strict=True):
            key, digest, size = f"{project}/{dataset}/{name}", sha256_of(path), path.stat().st_size
            task = progress.add_task(name, total=size)
            version = present(platform, bucket, key, digest)
            if version is None or ingestion_of(platform, key, version[0]) is None:
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


def wait(
    platform: Platform, out: Output, pushed: Sequence[Pushed], since: datetime, deadline: float = INGEST_DEADLINE_SECONDS
) -> list[Ingested]:
    """Wait for the ingest execution of each file; one result a file, in their order.

    Raises
    ------
    Failure
        When an execution failed, or did not end within ``deadline`` seconds.
    """
    done: dict[str, Ingested] = {}
    until = time.monotonic() + deadline
    with out.progress.status("waiting for ingest") as spinner:
        while True:
            for file in pushed:
                if file.key not in done:
                    found = ingestion_of(platform, file.key, file.version_id, since if file.sent else None)
                    if found is not None:
                        done[file.key] = _read(file, found)
            if len(done) == len(pushed):
                return [done[file.key] for file in pushed]
            if time.monotonic() > until:
                missing = ", ".join(file.key for file in pushed if file.key not in done)
                raise Failure(
                    "ingest",
                    f"no finished execution for {missing} after {deadline:.0f} s",
                    "`driftless pipelines list --machine ingest`",
                )
            spinner.update(f"waiting for ingest: {len(done)} of {len(pushed)} files")
            time.sleep(POLL_SECONDS)


def ingestion_of(platform: Platform, key: str, version_id: str | None, since: datetime | None = None) -> dict[str, Any] | None:
    """The finished ingest execution of one object version, the latest first; None when there is none yet.

    Raises
    ------
    Failure
        When its last execution failed and is not being tried again (only asked with ``since``: an old failure is
        mended by sending the file again).
    """
    for summary in executions.recent(
        platform, "ingest", lambda s: since is None or s["startDate"] >= since - CLOCK_SLACK, limit=500
    ):
        facts = _described(platform, summary)
        source = json.loads(facts.get("input") or "{}").get("detail", {}).get("object", {})
        if source.get("key") != key or (version_id and source.get("version-id") not in (None, version_id)):
            continue
        if facts["status"] == executions.SUCCEEDED:
            return facts
        if since is not None and facts["status"] != executions.RUNNING:
            executions.require_success(executions.read(platform, facts["executionArn"]))
        return None
    return None


def _described(platform: Platform, summary: dict[str, Any]) -> dict[str, Any]:
    """DescribeExecution, remembered once an execution has ended."""
    arn = summary["executionArn"]
    if arn not in platform.finished_executions:
        facts = executions.described(platform, arn) or summary
        if facts["status"] == executions.RUNNING:
            return facts
        platform.finished_executions[arn] = facts
    return platform.finished_executions[arn]


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
