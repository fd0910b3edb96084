"""``driftless labels``: send ground truth for predictions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.shared.console import JsonOption, Output, ProjectArgument, StageOption
from cli.shared.failures import Failure
from cli.shared.platform import connect, read_project
from cli.shared.rows import NULLS, boolean, chunks, moment, read_rows, typed
from cli.shared.signing import Api
from driftless.definition.section import Task

app = typer.Typer(help="Send labels (ground truth).", no_args_is_help=True)
LABELS_PER_REQUEST = 500


@app.command()
def push(
    project: ProjectArgument,
    file: Annotated[
        Path, typer.Argument(help="File with columns id, label and optionally observed_at.", exists=True, dir_okay=False)
    ],
    stage: StageOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Send labels by prediction id. Sending a label twice has no effect.

    Example: [bold]driftless labels push flights truth.csv[/bold]
    """
    out = Output(as_json)
    task = read_project(project).task
    with out.working("checking the rows"):
        rows = sum(1 for _ in label_records(file, task))
    if not rows:
        raise Failure(f"file {file.name}", "it has no rows", "give a file with at least one row")
    platform = connect(stage)
    accepted = 0
    with Api(platform) as api, out.progress.status("sending labels") as spinner:
        for chunk in chunks(label_records(file, task), LABELS_PER_REQUEST):
            accepted += api.post(f"/{project}/labels", {"labels": chunk})["accepted"]
            spinner.update(f"sending labels: {accepted} of {rows}")
    out.say(f"{accepted} labels accepted")
    if as_json:
        out.document({"accepted": accepted})


def label_records(file: Path, task: Task) -> Iterator[dict[str, Any]]:
    """Labels of a file, typed by the task.

    Raises
    ------
    Failure
        When a column is missing or a label is not of the task's type.
    """
    names, rows = read_rows(file)
    missing = [name for name in ("id", "label") if name not in names]
    if missing:
        raise Failure(f"file {file.name}", f"column {' and '.join(missing)} is missing", "give columns id,label[,observed_at]")
    for number, row in enumerate(rows, start=1):
        try:
            if row["id"] in (None, ""):
                raise ValueError("id is empty")
            record = {"id": str(row["id"]), "label": label_of(row["label"], task)}
            if row.get("observed_at") not in (None, *NULLS):
                record["observed_at"] = moment(row["observed_at"])
        except ValueError as error:
            raise Failure(f"file {file.name}, row {number}", str(error), "correct the row") from error
        yield record


def label_of(value: Any, task: Task) -> bool | float | int | str:
    """A label as a value of the task's type.

    Raises
    ------
    ValueError
        When it is empty or of another type.
    """
    if value is None or value == "":
        raise ValueError("label is empty")
    if task == "binary":
        return boolean(value)
    if task == "multiclass":
        return str(value)
    parsed = typed(value, "number")
    if parsed is None:
        raise ValueError(f"label {value!r} is not a number")
    return parsed
