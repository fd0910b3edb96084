"""``driftless models``: versions, who serves, and moving the champion by hand."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from typing import Annotated

import typer
from rich.markdown import Markdown

from cli.console import JsonOption, Output, ProjectArgument, StageOption, coloured, number, table
from cli.platform import Platform, connect, read_project
from driftless.errors import IllegalMove
from driftless.records import Endpoint

app = typer.Typer(help="Model versions and who serves.", no_args_is_help=True)
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
    out.show(table(f"Versions of {project}", ("version", "role", "gate said", primary, "run", "registered"), rows))


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
    card = store.get(f"models/{project}/{version}/card.md").decode()
    if as_json:
        manifest = json.loads(store.get(f"models/{project}/{version}/manifest.json"))
        out.document({"version": found, "manifest": manifest, "card": card})
        return
    out.show(f"[bold]{project} version {version}[/bold]: {role(platform.registry.endpoint(project), version) or 'not serving'}")
    rows = [
        ("run", found.run_id),
        ("gate said", found.decision),
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
    """Make a version the champion now, without a canary.

    Example: [bold]driftless models promote flights 2[/bold]
    """
    read_project(project)
    platform = connect(stage)
    platform.registry.version(project, version)
    _move(platform, Output(as_json), project, lambda endpoint: promoted(endpoint, version), "promote")


@app.command()
def rollback(project: ProjectArgument, stage: StageOption = "local", as_json: JsonOption = False) -> None:
    """Put the previous champion back.

    Example: [bold]driftless models rollback flights[/bold]
    """
    read_project(project)
    _move(connect(stage), Output(as_json), project, rolled_back, "rollback")


def role(endpoint: Endpoint, version: int) -> str:
    """What a version is to the endpoint: champion, challenger with its share, previous, or nothing."""
    if version == endpoint.champion:
        return "champion"
    if version == endpoint.challenger:
        return f"challenger {endpoint.challenger_weight:.0%}"
    return "previous" if version == endpoint.previous_champion else ""


def promoted(endpoint: Endpoint, version: int) -> Endpoint:
    """The endpoint with this version as its only champion."""
    if endpoint.champion == version and endpoint.challenger is None:
        return endpoint
    previous = endpoint.previous_champion if endpoint.champion == version else endpoint.champion
    moved = {"champion": version, "previous_champion": previous, "challenger": None, "challenger_weight": 0.0}
    return endpoint.model_copy(update=moved)


def rolled_back(endpoint: Endpoint) -> Endpoint:
    """The endpoint with its previous champion back.

    Raises
    ------
    IllegalMove
        When there is none.
    """
    if endpoint.previous_champion is None:
        raise IllegalMove(f"{endpoint.project} has no previous champion to go back to")
    moved = {
        "champion": endpoint.previous_champion,
        "previous_champion": endpoint.champion,
        "challenger": None,
        "challenger_weight": 0.0,
    }
    return endpoint.model_copy(update=moved)


def _move(platform: Platform, out: Output, project: str, decide: Callable[[Endpoint], Endpoint], action: str) -> None:
    """Move the endpoint in the registry, then publish the copy that serving reads; repeating it publishes again."""
    after = platform.registry.move_endpoint(project, decide, actor=f"cli/{getpass.getuser()}", action=action)
    platform.store("artifacts").put(
        f"serving/{project}/endpoint.json", after.model_dump_json().encode(), content_type="application/json"
    )
    if out.as_json:
        out.document(after)
    else:
        refresh = read_project(project).serving.refresh_seconds
        out.show(f"champion of {project} is version {after.champion} (revision {after.revision}); served within {refresh:g} s")
