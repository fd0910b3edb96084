"""Documentation is tested: what it names exists, and what exists it names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer._click.exceptions import UsageError

from cli.main import app
from driftless.definition.learning import METRICS
from driftless.definition.loading import keys_of, sections_in
from driftless.definition.project import Project
from tests.unit.docs.pages import DOCS, ROOT, blocks

READS_ENVIRONMENT = ("cli", "local_cloud", "infra", "layers/shared/python/driftless", "tests/e2e")
# Set by Lambda or by tools, not by people.
NOT_OURS = {"_HANDLER", "LAMBDA_TASK_ROOT", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "CDK_CONTEXT_JSON", "COLUMNS", "PATH"}


def commands() -> Iterator[tuple[str, Any]]:
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        if hasattr(command, "commands"):
            for child, leaf in command.commands.items():
                yield f"{name} {child}", leaf
        else:
            yield name, command


def named_in(text: str) -> set[str]:
    """``driftless …`` commands in a text, two words where the first is a group."""
    known = {name for name, _ in commands()}
    groups = {name.split()[0] for name in known if " " in name}
    found = set()
    for first, second in re.findall(r"(?:`|bin/)driftless ([a-z]+)(?: ([a-z]+))?", text):
        found.add(f"{first} {second}" if first in groups else first)
    return found


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs/cli.md").read_text()
    assert {name for name, _ in commands()} == named_in(text)


def test_every_option_is_documented() -> None:
    text = (ROOT / "docs/cli.md").read_text()
    options = {
        option
        for _, command in commands()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }
    assert [option for option in sorted(options) if option not in text] == []


@pytest.mark.parametrize(("name", "command"), [pytest.param(name, command, id=name) for name, command in commands()])
def test_every_command_has_json_and_an_example_of_itself(name: str, command: Any) -> None:
    assert "--json" in {option for parameter in command.params for option in parameter.opts}
    assert f"driftless {name}" in (command.help or "").split("Example:", 1)[1]


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_named_commands_exist(path: Path) -> None:
    assert named_in(path.read_text()) - {name for name, _ in commands()} == set()


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_named_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", path.read_text(), flags=re.MULTILINE)) - targets == set()


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", path.read_text()) if not link.startswith("http")]
    assert [link for link in links if not (path.parent / link).exists()] == []


def anchors(path: Path) -> set[str]:
    """The names that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_to_headings_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", path.read_text())
    assert [(name, heading) for name, heading in links if heading not in anchors(path.parent / name if name else path)] == []


def understand(line: str) -> None:
    """Parse a typed command without running it.

    Raises
    ------
    click.UsageError
        When the command line does not take an argument or option of it.
    """
    command: Any = typer.main.get_command(app)
    name, rest = "driftless", shlex.split(re.sub(r"<(\w+)>", r"\1", line))
    for word in rest:
        if re.fullmatch(r"[\w-]+\.(csv|parquet)", word):
            Path(word).touch()
    while hasattr(command, "commands"):
        context = command.make_context(name, list(rest))
        name, command, rest = command.resolve_command(context, rest)
    command.make_context(name, rest)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_typed_commands_are_understood(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments and options of each ``driftless`` command in a code block are what the command takes."""
    monkeypatch.chdir(tmp_path)
    for code in blocks(path.read_text(), "sh", "console"):
        for line in re.findall(r"bin/driftless ([^#|\n]+)", code):
            understand(line)


@pytest.mark.parametrize("line", ["train", "train flights --planted", "data push flights", "planted", "models planted flights"])
def test_a_command_that_is_not_understood_is_found(line: str) -> None:
    with pytest.raises(UsageError):
        understand(line)


def test_every_environment_variable_is_documented() -> None:
    text = (ROOT / "docs/environment.md").read_text()
    read = set()
    for folder in READS_ENVIRONMENT:
        for path in (ROOT / folder).rglob("*.py"):
            read.update(re.findall(r"""environ(?:\.get)?[(\[]\s*["']([A-Z_]+)["']""", path.read_text()))
            read.update(re.findall(r'"([A-Z_]+)" (?:not )?in os\.environ', path.read_text()))
            read.update(re.findall(r'envvar="([A-Z_]+)"', path.read_text()))
    assert "AWS_ENDPOINT_URL" in read
    assert sorted(name for name in read - NOT_OURS if f"`{name}`" not in text) == []


def test_every_key_of_a_project_is_documented() -> None:
    text = (ROOT / "docs/project-definition.md").read_text()
    tables = {key for key, field in Project.model_fields.items() if any(sections_in(field.annotation))}
    keys = keys_of(Project) - tables
    missing = [key for key in sorted(keys) if f"`{key}`" not in text and f"[{key}" not in text]
    assert missing == []


def test_every_variable_of_make_is_documented() -> None:
    variables = re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    section = (ROOT / "docs/environment.md").read_text().split("## Variables of make")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", section, flags=re.MULTILINE) == variables


def test_every_context_key_is_documented() -> None:
    (keys,) = re.findall(r"_CONTEXT_KEYS = \((.+)\)", (ROOT / "app.py").read_text())
    context = (ROOT / "docs/environment.md").read_text().split("## Context")[1].split("\n## ")[0]
    assert re.findall(r'"(\w+)"', keys) == re.findall(r"^\| `(\w+)`", context, flags=re.MULTILINE)


def test_every_metric_is_documented() -> None:
    text = (ROOT / "docs/project-definition.md").read_text()
    assert [metric for metric in METRICS if f"`{metric}`" not in text] == []
