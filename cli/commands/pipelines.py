"""``driftless pipelines``: list executions, show one, rerun one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from cli.shared import executions, history
from cli.shared.console import JsonOption, Output, StageOption, coloured, seconds, table
from cli.shared.failures import Failure, next_step_for
from cli.shared.platform import MACHINES, connect

app = typer.Typer(help="Executions of the state machines.", no_args_is_help=True)
ExecutionArgument = Annotated[str, typer.Argument(help="Execution name, as `pipelines list` shows it.")]
HEALTH = {"SUCCEEDED": "ok", "RUNNING": "idle", "FAILED": "bad", "TIMED_OUT": "bad", "ABORTED": "warn"}


@app.command("list")
def list_(
    machine: Annotated[
        str | None, typer.Option("--machine", help="State machine: ingest, train_and_deploy or monitor. Default: all.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Executions per state machine.")] = 10,
    stage: StageOption = "local",
    as_json: JsonOption = False,
) -> None:
    """List the latest executions of each state machine.

    Example: [bold]driftless pipelines list --machine train_and_deploy[/bold]
    """
    out = Output(as_json)
    if machine is not None and machine not in MACHINES:
        raise Failure("arguments", f"there is no state machine {machine!r}", f"choose one of {', '.join(MACHINES)}")
    platform = connect(stage)
    found = []
    for name in (machine,) if machine else MACHINES:
        for summary in executions.recent(platform, name, lambda _: True, limit):
            stop = summary.get("stopDate")
            took = (stop - summary["startDate"]).total_seconds() if stop else None
            found.append(
                {
                    "machine": name,
                    "name": summary["name"],
                    "status": summary["status"],
                    "started": summary["startDate"],
                    "seconds": took,
                }
            )
    if as_json:
        out.document({"executions": found})
        return
    rows = [
        (
            e["machine"],
            e["name"],
            coloured(e["status"], HEALTH.get(e["status"], "bad")),
            f"{e['started']:%Y-%m-%d %H:%M:%S}",
            seconds(e["seconds"]),
        )
        for e in found
    ]
    out.show(table("Executions", ("machine", "name", "status", "started", "took"), rows))


@app.command()
def show(name: ExecutionArgument, stage: StageOption = "local", as_json: JsonOption = False) -> None:
    """Show one execution: its steps, their durations, and the error with its cause.

    Example: [bold]driftless pipelines show flights-20131101T120000[/bold]
    """
    out = Output(as_json)
    platform = connect(stage)
    execution = executions.read(platform, executions.find(platform, name)[1])
    if as_json:
        out.document(execution.document())
        return
    status = coloured(execution.status, HEALTH.get(execution.status, "bad"))
    out.show(f"{execution.machine} {execution.name}: {status}, {seconds(execution.seconds)}")
    rows = [
        (
            s.name,
            seconds(s.seconds),
            coloured(s.error, "bad") if s.error else coloured("ok" if s.ended else "running", "ok" if s.ended else "idle"),
        )
        for s in execution.steps
    ]
    out.show(table("Steps", ("step", "took", "outcome"), rows))
    if execution.error:
        out.show(f"error  {coloured(execution.error, 'bad')}")
        out.console.print(f"cause  {execution.cause}", markup=False, highlight=False)
        out.show(f"next   {escape(next_step_for(execution.error, rerun=executions.run_id(name)))}")


@app.command()
def rerun(
    name: ExecutionArgument,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start the execution and return.")] = False,
    stage: StageOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Rerun a failed or aborted execution with the same input; run id and model version stay the same.

    Example: [bold]driftless pipelines rerun flights-20131101T120000[/bold]
    """
    out = Output(as_json)
    platform = connect(stage)
    machine, _ = executions.find(platform, executions.run_id(name))
    arn, started = executions.rerun(platform, machine, name)
    shown = arn.rsplit(":", 1)[-1]
    out.say(f"started again as {shown}" if started else f"{shown} is running or has succeeded; nothing was started")
    if no_wait:
        if as_json:
            out.document({"name": shown, "arn": arn, "started": started})
        return
    execution = executions.follow(platform, arn, out)
    if as_json and execution.status == history.SUCCEEDED:
        out.document(execution.document())
    executions.require_success(execution)
    out.say(f"{execution.machine} {execution.name}: succeeded in {seconds(execution.seconds)}")
