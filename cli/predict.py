"""``driftless predict``: a file of rows through the deployed API, in signed requests of the size the project allows."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeVar

import typer

from cli.console import JsonOption, Output, ProjectArgument, StageOption
from cli.failures import Failure
from cli.platform import connect, read_project
from cli.rows import api_records
from cli.signing import Api

T = TypeVar("T")
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="Write .csv or .jsonl here instead of to stdout.")]


def predict(
    project: ProjectArgument,
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines or Parquet.", exists=True, dir_okay=False)],
    output: OutputOption = None,
    stage: StageOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Predict each row of a file; the ids in the answer are what labels refer to.

    Example: [bold]driftless predict flights tomorrow.csv --output predictions.csv[/bold]
    """
    out = Output(as_json)
    if output is not None and output.suffix not in (".csv", ".jsonl"):
        raise Failure("arguments", f"{output.name} is neither .csv nor .jsonl", "choose one of the two")
    definition = read_project(project)
    platform = connect(stage)
    answers: list[dict[str, Any]] = []
    with Api(platform) as api, out.progress.status("predicting") as spinner:
        for chunk in chunks(api_records(definition, file), definition.serving.max_records):
            reply = api.post(f"/{project}/predictions", {"records": chunk})
            answers.extend(answer_rows(reply, first_row=len(answers) + 1))
            spinner.update(f"predicting: {len(answers)} rows")
    if not answers:
        raise Failure(f"file {file.name}", "it has no rows", "give a file with at least one row")
    versions = sorted({row["model_version"] for row in answers})
    out.say(f"{len(answers)} predictions by version {', '.join(map(str, versions))}")
    if output is not None:
        with output.open("w", encoding="utf-8", newline="") as stream:
            write(stream, answers, as_csv=output.suffix == ".csv")
        if as_json:
            out.document({"rows": len(answers), "model_versions": versions, "output": str(output)})
    elif as_json:
        out.document({"predictions": answers})
    else:
        write(sys.stdout, answers, as_csv=True)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most ``size`` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def answer_rows(reply: dict[str, Any], first_row: int) -> Iterator[dict[str, Any]]:
    """An answer of the API as flat rows: row number in the file, id, prediction, probability or one column a class."""
    for number, prediction in enumerate(reply["predictions"], start=first_row):
        row = {"row": number, "id": prediction["id"], "prediction": prediction["prediction"]}
        if "probability" in prediction:
            row["probability"] = prediction["probability"]
        for label, probability in (prediction.get("probabilities") or {}).items():
            row[f"p_{label}"] = probability
        yield {**row, "model_version": reply["model_version"], "variant": reply["variant"]}


def write(stream: TextIO, rows: list[dict[str, Any]], as_csv: bool) -> None:
    """Rows as CSV with a header, or as JSON lines."""
    if not as_csv:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
        return
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
