"""``driftless models``: list versions, show one, move the champion."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer
from rich.markdown import Markdown

from cli.shared.console import JsonOption, Output, ProjectArgument, StageOption, coloured, number, table
from cli.shared.platform import connect, read_project
from driftless.core.layout.artifacts import CARD_PAGE, model_file
from driftless.modelling.version_files import read_manifest
from driftless.records import Endpoint
from driftless.registry import rollout

app = typer.Typer(help="Model versions: list, show, promote, roll back.", no_args_is_help=True)
VersionArgument = Annotated[int, typer.Argument(help="Version number.", min=1)]


@app.command("list")
def list_(project: ProjectArgument, stage: StageOption = "local", as_json: JsonOption = False) -> None:
    """List a project's versions, newest first.

    Example: [bold]driftless models list flights[/bold]
    """
    out = Output(as_json)
    primary = read_project(project).gates.primary
    registry = connect(stage).registry
    endpoint, versions = registry.endpoint(project), registry.versions(project)
    if as_json:
        out.document({"endpoint": endpoint, "versions": versions})
        return
    rows = [
        (
            v.version,
            coloured(role(endpoint, v.version), "ok"),
            v.decision,
            number(v.metrics.get(primary)),
            v.run_id,
            f"{v.created_at:%Y-%m-%d %H:%M:%S}",
        )
        for v in versions
    ]
    out.show(table(f"Versions of {project}", ("version", "role", "gate decision", primary, "run", "registered"), rows))


@app.command()
def show(project: ProjectArgument, version: VersionArgument, stage: StageOption = "local", as_json: JsonOption = False) -> None:
    """Show one version: metrics, lineage, and its model card.

    Example: [bold]driftless models show flights 1[/bold]
    """
    out = Output(as_json)
    read_project(project)
    platform = connect(stage)
    found = platform.registry.version(project, version)
    store = platform.store("artifacts")
    card = store.get(model_file(project, version, CARD_PAGE)).decode()
    if as_json:
        manifest, _ = read_manifest(store, project, version, found.manifest_sha256)
        out.document({"version": found, "manifest": manifest, "card": card})
        return
    out.show(f"[bold]{project} version {version}[/bold]: {role(platform.registry.endpoint(project), version) or 'not serving'}")
    rows = [
        ("run", found.run_id),
        ("gate decision", found.decision),
        ("manifest", found.manifest_sha256),
        ("signed by", found.signing_key),
    ]
    rows += sorted(found.tags.items())
    out.show(table("Lineage", ("what", "value"), rows))
    out.show(table("Metrics", ("metric", "hold-out"), [(name, number(value)) for name, value in found.metrics.items()]))
    out.show(Markdown(card))


@app.command()
def promote(
    project: ProjectArgument, version: VersionArgument, stage: StageOption = "local", as_json: JsonOption = False
) -> None:
    """Make a version the champion immediately, without a canary.

    Example: [bold]driftless models promote flights 2[/bold]
    """
    read_project(project)
    platform = connect(stage)
    _tell(Output(as_json), rollout.promote(platform.registry, platform.store("artifacts"), project, version, _actor()))


@app.command()
def rollback(project: ProjectArgument, stage: StageOption = "local", as_json: JsonOption = False) -> None:
    """Make the previous champion the champion again.

    Example: [bold]driftless models rollback flights[/bold]
    """
    read_project(project)
    platform = connect(stage)
    _tell(Output(as_json), rollout.rollback(platform.registry, platform.store("artifacts"), project, _actor()))


def role(endpoint: Endpoint, version: int) -> str:
    """A version's role at the endpoint: champion, challenger with its share, previous, or empty."""
    if version == endpoint.champion:
        return "champion"
    if version == endpoint.challenger:
        return f"challenger {endpoint.challenger_weight:.0%}"
    return "previous" if version == endpoint.previous_champion else ""


def _tell(out: Output, after: Endpoint) -> None:
    if out.as_json:
        out.document(after)
    else:
        refresh = read_project(after.project).serving.refresh_seconds
        out.show(
            f"champion of {after.project} is version {after.champion} (revision {after.revision}); served within {refresh:g} s"
        )


def _actor() -> str:
    return f"cli/{getpass.getuser()}"
