"""``driftless predict``: send the rows of a file to the deployed API, in signed requests of the allowed size.

All rows are checked before the first request. Predictions are written after each request, so a later failure
loses none. Request ids are derived from the file's content: sending the file again gives the same prediction
ids, and the platform stores each once.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, TextIO
from uuid import NAMESPACE_URL, uuid5

import typer
from rich.markup import escape

from cli.shared.console import JsonOption, Output, ProjectArgument, StageOption
from cli.shared.failures import EXPECTED, Failure, explain
from cli.shared.platform import connect, read_project
from cli.shared.rows import api_records, chunks, sha256_of
from cli.shared.signing import Api

OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="Write .csv or .jsonl here instead of to stdout.")]


def predict(
    project: ProjectArgument,
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines or Parquet.", exists=True, dir_okay=False)],
    output: OutputOption = None,
    stage: StageOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Predict each row of a file. Labels refer to the prediction ids in the result.

    Example: [bold]driftless predict flights tomorrow.csv --output predictions.csv[/bold]
    """
    out = Output(as_json)
    check_output(file, output)
    definition = read_project(project)
    with out.working("checking the rows"):
        digest, rows = sha256_of(file), sum(1 for _ in api_records(definition, file))
    if not rows:
        raise Failure(f"file {file.name}", "it has no rows", "give a file with at least one row")
    platform = connect(stage)
    answers: list[dict[str, Any]] = []
    versions: set[int] = set()
    done = 0
    with ExitStack() as stack:
        stream = stack.enter_context(opened(output)) if output else sys.stdout
        answered = (
            None
            if as_json and output is None
            else PredictionWriter(out, stream, as_csv=output is None or output.suffix == ".csv")
        )
        api = stack.enter_context(Api(platform))
        spinner = stack.enter_context(out.progress.status("predicting"))
        try:
            for chunk in chunks(api_records(definition, file), definition.serving.max_records):
                reply = api.post(f"/{project}/predictions", {"records": chunk}, request_id(project, digest, done))
                part = list(answer_rows(reply, first_row=done + 1))
                versions.update(row["model_version"] for row in part)
                done += len(part)
                if answered is None:
                    answers += part
                else:
                    answered.write(part)
                spinner.update(f"predicting: {done} of {rows} rows")
        except BrokenPipeError:
            raise
        except EXPECTED as error:
            failure = explain(error) if not isinstance(error, OSError) else unwritten(stream.name, error)
            again = f"{failure.next_step}; {done} of {rows} rows are predicted, and sending the file again keeps their ids"
            kept = {"predictions": answers} if answered is None else None
            raise Failure(failure.where, failure.cause, again, document=kept) from error
    out.say(f"{done} predictions by version {', '.join(map(str, sorted(versions)))}")
    if answered is None:
        out.document({"predictions": answers})
    elif as_json:
        out.document({"rows": done, "model_versions": sorted(versions), "output": str(output)})


def check_output(file: Path, output: Path | None) -> None:
    """Refuse an output of unknown format, and one that would overwrite the input file.

    Raises
    ------
    Failure
    """
    if output is None:
        return
    if output.suffix not in (".csv", ".jsonl"):
        raise Failure("arguments", f"{output.name} is neither .csv nor .jsonl", "use one of the two")
    if output.exists() and output.samefile(file):
        raise Failure("arguments", f"{output} is the input file", "choose another --output")


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """A file to write. An error inside is not replaced by the error of closing the file."""
    stream = path.open("w", encoding="utf-8", newline="")
    try:
        yield stream
    except BaseException:
        with suppress(OSError):
            stream.close()
        raise
    stream.close()


def unwritten(name: str, error: OSError) -> Failure:
    """The failure of writing predictions."""
    return Failure(f"output {name}", error.strerror or str(error), "free disk space, or choose another --output")


def request_id(project: str, digest: str, row: int) -> str:
    """Id of the request that begins at ``row`` of the file with that digest; the same each time it is sent."""
    return str(uuid5(NAMESPACE_URL, f"driftless-predict/{project}/{digest}/{row}"))


def answer_rows(reply: dict[str, Any], first_row: int) -> Iterator[dict[str, Any]]:
    """A response of the API as flat rows: row number, id, prediction, probability or one column per class.

    When champion and challenger served the same request, each prediction names its version.
    """
    for number, prediction in enumerate(reply["predictions"], start=first_row):
        row = {"row": number, "id": prediction["id"], "prediction": prediction["prediction"]}
        if "probability" in prediction:
            row["probability"] = prediction["probability"]
        for label, probability in (prediction.get("probabilities") or {}).items():
            row[f"p_{label}"] = probability
        yield {**row, **{name: prediction.get(name, reply[name]) for name in ("model_version", "variant")}}


class PredictionWriter:
    """Writes rows as CSV with a header or as JSON lines, and flushes after each part.

    Parameters
    ----------
    out : Output
        Receives a message when a later part has classes that the header does not contain.
    """

    def __init__(self, out: Output, stream: TextIO, as_csv: bool) -> None:
        self._out, self._stream, self._as_csv = out, stream, as_csv
        self._columns: list[str] = []
        self._told: set[str] = set()

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Append a part."""
        if self._as_csv:
            self._write_csv(rows)
        else:
            self._stream.writelines(json.dumps(row) + "\n" for row in rows)
        self._stream.flush()

    def _write_csv(self, rows: list[dict[str, Any]]) -> None:
        named = list(dict.fromkeys(name for row in rows for name in row))
        first = not self._columns
        self._columns = self._columns or named
        for name in sorted(set(named) - set(self._columns) - self._told):
            self._told.add(name)
            self._out.say(f"column {escape(name)} is left out from row {rows[0]['row']} on: another version has more classes")
        writer = csv.DictWriter(self._stream, fieldnames=self._columns, restval="", extrasaction="ignore")
        if first:
            writer.writeheader()
        writer.writerows(rows)
