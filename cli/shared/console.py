"""Output of commands: results go to stdout, progress goes to stderr.

With ``--json`` stdout carries exactly one JSON document, or one per line for ``logs``. A program can read it
while a person sees the progress.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.shared.failures import Failure

PIPE_WIDTH = 140
COLOURS = {"ok": "green", "warn": "yellow", "bad": "red", "idle": "dim"}


def _remember_json(context: typer.Context, value: bool) -> bool:
    context.meta["driftless.json"] = context.meta.get("driftless.json", False) or value
    return value


JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.", callback=_remember_json)]
StageOption = Annotated[str, typer.Option("--stage", envvar="DRIFTLESS_STAGE", help="Stage: local, dev or prod.")]
ProjectArgument = Annotated[str, typer.Argument(help="Project name: a folder under projects/.")]


def jsonable(value: Any) -> Any:
    """Records and times in a form that ``json`` can write."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


class Output:
    """The two output streams of a command.

    Parameters
    ----------
    as_json : bool
        Results as JSON on stdout instead of tables.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = wide(Console())
        self.progress = wide(Console(stderr=True))

    def say(self, text: str) -> None:
        """Print a progress line to stderr; ``text`` is rich markup, so escape text from files and services."""
        self.progress.print(text, highlight=False)

    def document(self, value: Any) -> None:
        """Print the result as one JSON document."""
        sys.stdout.write(json.dumps(value, default=jsonable, indent=2) + "\n")

    def line(self, value: Any) -> None:
        """Print one of many results as a JSON line."""
        sys.stdout.write(json.dumps(value, default=jsonable) + "\n")
        sys.stdout.flush()

    def show(self, renderable: Any) -> None:
        """Print the result for a person."""
        self.console.print(renderable, highlight=False)

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show a spinner on stderr; nothing when stderr is not a terminal."""
        with self.progress.status(text):
            yield


def wide(console: Console) -> Console:
    """Give a console that is not a terminal (a file, a pipe) a fixed width."""
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


class Markup(str):
    """Text that is rich markup; :func:`table` escapes all other text."""

    __slots__ = ()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table; a cell is text, unless it is :class:`Markup`."""
    built = Table(title=escape(title), title_justify="left", box=None, pad_edge=False, header_style="bold", title_style="bold")
    for column in columns:
        built.add_column(escape(column), overflow="fold")
    for row in rows:
        built.add_row(*(cell if isinstance(cell, Markup) else escape("" if cell is None else str(cell)) for cell in row))
    return built


def coloured(text: str, health: str) -> Markup:
    """Text in the colour of a health: ok, warn, bad or idle."""
    colour = COLOURS.get(health, "white")
    return Markup(f"[{colour}]{escape(text)}[/{colour}]")


def seconds(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return "–"
    return f"{value:.1f} s" if value < 100 else f"{int(value // 60)} min {int(value % 60)} s"


def number(value: float | None, digits: int = 4) -> str:
    """A metric for people."""
    return "–" if value is None else f"{value:.{digits}f}"


def report_failure(failure: Failure, as_json: bool) -> None:
    """Print where, cause and next step; with ``--json`` one document, with the command's partial result if any."""
    if as_json:
        facts = {"where": failure.where, "cause": failure.cause, "next_step": failure.next_step}
        # If stdout cannot be written, stderr and the exit code still report the failure.
        with suppress(OSError):
            sys.stdout.write(json.dumps({**(failure.document or {}), "error": facts}, default=jsonable) + "\n")
            sys.stdout.flush()
    console = Console(stderr=True)
    console.print(f"[bold red]Failed[/bold red] in [bold]{escape(failure.where)}[/bold]", highlight=False)
    console.print(f"  cause  {escape(failure.cause)}", highlight=False, soft_wrap=True)
    console.print(f"  next   {escape(failure.next_step)}", highlight=False, soft_wrap=True)
