"""``driftless monitor``: monitor a window of predictions now, not at the next scheduled time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cli.shared import executions
from cli.shared.console import JsonOption, Output, ProjectArgument, StageOption, coloured, number, table
from cli.shared.failures import Failure
from cli.shared.platform import Platform, connect, read_project
from cli.shared.rows import moment
from driftless.records import MonitoringRecord

app = typer.Typer(help="Drift and harm of a project.", no_args_is_help=True)
LEVELS = {0: ("ok", "ok"), 1: ("warn", "warn"), 2: ("alert", "bad")}


@app.command()
def run(
    project: ProjectArgument,
    window_end: Annotated[
        str | None, typer.Option("--window-end", help="End of the window, ISO time in UTC. Default: the latest prediction.")
    ] = None,
    stage: StageOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Run the monitor state machine and show its report.

    Example: [bold]driftless monitor run flights --window-end 2013-07-01T00:00:00Z[/bold]
    """
    out = Output(as_json)
    read_project(project)
    try:
        end = moment(window_end) if window_end else None
    except ValueError as error:
        raise Failure("arguments", f"--window-end: {error}", "write a time such as 2013-07-01T00:00:00Z") from error
    platform = connect(stage)
    arn = begin(platform, project, f"{project}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}", end)
    execution = executions.require_success(executions.follow(platform, arn, out))
    record = find_record(execution.output)
    if as_json:
        out.document(record)
    else:
        show(out, record)


def begin(platform: Platform, project: str, name: str, window_end: str | None) -> str:
    """Start the monitor state machine, or find the execution of that name; its ARN."""
    payload = {"project": project} | ({"window_end": window_end} if window_end else {})
    return executions.start(platform, "monitor", name, payload)


def find_record(output: dict[str, Any] | None) -> MonitoringRecord:
    """The monitoring record in a monitor execution's output."""
    found = output or {}
    return MonitoringRecord.model_validate(found.get("monitoring", found))


def show(out: Output, record: MonitoringRecord) -> None:
    """Levels, metrics with their reference, and each signal at warn or alert."""
    levels = "   ".join(
        f"{name} {coloured(*LEVELS[level])}" for name, level in (("drift", record.drift_level), ("harm", record.harm_level))
    )
    out.show(f"{record.project} version {record.version}: {levels}")
    if record.uncollected:
        out.show(coloured(f"{record.uncollected} predictions of the last day were served but are not in the lake", "bad"))
    out.show(f"window {record.window_start} to {record.window_end}: {record.predictions} predictions, {record.labels} labels")
    rows = [(name, number(value), number(record.reference_metrics.get(name))) for name, value in record.metrics.items()]
    out.show(table("Metrics", ("metric", "window", "reference"), rows))
    raised = [signal for signal in record.signals if signal.level]
    cells = [(coloured(*LEVELS[s.level]), s.name, s.statistic, number(s.value), number(s.threshold), s.reason) for s in raised]
    out.show(table("Signals raised", ("level", "signal", "statistic", "value", "threshold", "reason"), cells))
