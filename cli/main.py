"""The ``driftless`` command: its commands, and how expected errors become messages and exit codes."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from cli.commands import cloud, data, destroy, labels, logs, models, monitor, pipelines, predict, smoke, status, train
from cli.shared.console import report_failure
from cli.shared.failures import EXPECTED, explain

EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130


class DriftlessGroup(TyperGroup):
    """Runs a command; an expected error prints where, cause and next step instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader closed the pipe: typer exits quietly
        except EXPECTED as error:
            report_failure(explain(error), as_json="--json" in sys.argv or bool(ctx.meta.get("driftless.json")))
            raise typer.Exit(EXIT_FAILURE) from error
        except KeyboardInterrupt as error:
            typer.echo("Interrupted. Running executions continue; repeat the command to follow them.", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from error


app = typer.Typer(
    cls=DriftlessGroup,
    name="driftless",
    help="Serverless MLOps on AWS from one project file; the same stacks run on a laptop.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)
app.command("up")(cloud.up)
app.command("down")(cloud.down)
app.command("destroy")(destroy.destroy)
app.command("status")(status.status)
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.add_typer(models.app, name="models")
app.command("predict")(predict.predict)
app.command("smoke")(smoke.smoke)
app.add_typer(labels.app, name="labels")
app.add_typer(monitor.app, name="monitor")
app.add_typer(pipelines.app, name="pipelines")
app.command("logs")(logs.logs)
