"""``driftless data``: push files and report what was accepted, quarantined or rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.shared.console import JsonOption, Output, ProjectArgument, StageOption, coloured, table
from cli.shared.failures import Failure, next_step_for
from cli.shared.landing import Ingested, upload, wait
from cli.shared.platform import connect, read_project

app = typer.Typer(help="Push files of a project's datasets.", no_args_is_help=True)


@app.command("push")
def push_command(
    project: ProjectArgument,
    dataset: Annotated[str, typer.Argument(help="Dataset name in project.toml.")],
    files: Annotated[list[Path], typer.Argument(help="CSV, JSON lines or Parquet files.", exists=True, dir_okay=False)],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return once the files are in the landing bucket.")] = False,
    stage: StageOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Upload files, wait for ingestion, and show accepted, quarantined and rejected rows with reasons.

    Example: [bold]driftless data push flights weather weather-2013-05.csv[/bold]
    """
    out = Output(as_json)
    definition = read_project(project)
    if dataset not in definition.datasets:
        known = ", ".join(definition.datasets)
        raise Failure("arguments", f"project {project} has no dataset {dataset!r}", f"use one of: {known}")
    platform = connect(stage)
    pushed, since = upload(platform, out, project, dataset, files)
    if no_wait:
        if as_json:
            out.document({"files": [vars(file) for file in pushed]})
        return
    results = wait(platform, out, pushed, since)
    document = {"files": [result.document() for result in results]}
    if not as_json:
        out.show(table("Ingested", ("file", "status", "rows", "accepted", "quarantined", "reasons"), map(_row, results)))
    refused = [result for result in results if result.status != "accepted"]
    if refused:
        reasons = "; ".join(refused[0].reasons) or refused[0].status
        raise Failure(f"ingest of {refused[0].pushed.file}", reasons, next_step_for("DataRejected"), document)
    if as_json:
        out.document(document)


def _row(result: Ingested) -> tuple[object, ...]:
    verdict = coloured(
        result.status + (" (already there)" if not result.pushed.sent else ""), "ok" if result.status == "accepted" else "bad"
    )
    return (result.pushed.file, verdict, result.rows, result.accepted_rows, result.quarantined_rows, "; ".join(result.reasons))
