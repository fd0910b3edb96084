"""``driftless status``: every deployed part, its place and its health."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import httpx
import typer

from cli.shared import executions, health
from cli.shared.console import JsonOption, Output, StageOption, coloured, number, table
from cli.shared.failures import Failure, explain
from cli.shared.health import Part, Resource
from cli.shared.platform import Platform, connect, deploy_hint
from cli.shared.signing import Api
from driftless.errors import DriftlessError

MARKS = {"ok": "●", "warn": "▲", "bad": "✗", "idle": "○"}
KINDS = (
    "stack",
    "api",
    "bucket",
    "table",
    "function",
    "alias",
    "state machine",
    "rule",
    "log subscription",
    "queue",
    "event source mapping",
    "alarm",
    "topic",
    "key",
    "log group",
)
ORDER = {kind: position for position, kind in enumerate(KINDS)}
_ARN = re.compile(r"^arn:[^:]+:[^:]*:[^:]*:[^:]*:(?P<rest>.+)$")
_LONGEST_PLACE, _FIRST_OF_PLACE = 36, 12
CHECK_FAILURES = (Failure, DriftlessError, httpx.HTTPError)


def status(
    full: Annotated[bool, typer.Option("--full", help="List healthy log groups, aliases and alarms too, and full ARNs.")] = False,
    stage: StageOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Show every deployed part and its health. Exit code 1 when a part is unhealthy.

    Example: [bold]driftless status --json[/bold]
    """
    out = Output(as_json)
    platform = connect(stage)
    with out.working("checking every part"):
        names = platform.deployed_projects
        deployed = health.stacks(platform)
        if not deployed:
            raise Failure("deployment", f"stage {stage!r} has no stack at {platform.place}", deploy_hint(stage))
        found = [resource for stack in deployed for resource in health.resources(platform, stack["StackName"])]
        parts = [*map(health.stack_part, deployed), api_part(platform), *health.parts(platform, found)]
        projects = [project_facts(platform, name) for name in names]
    others = dict(health.counted(found))
    facts = {"stage": stage, "place": platform.place, "commit": platform.parameters.get("commit")}
    document = facts | {"parts": [asdict(part) for part in parts], "other_resources": others, "projects": projects}
    if not as_json:
        show(out, platform, parts, found, projects, full)
    bad = [part for part in parts if part.health == "bad"]
    if bad:
        causes = "; ".join(f"{part.kind} {part.name}: {part.detail}" for part in bad[:3])
        cause = f"{len(bad)} of {len(parts)} parts are unhealthy: {causes}"
        raise Failure("status", cause, f"{deploy_hint(stage)} to deploy again", document)
    if as_json:
        out.document(document)


def quiet(part: Part) -> bool:
    """Whether a part is left out of the short list: healthy, and of a kind with many parts."""
    return part.kind in ("log group", "alarm", "alias") and part.health == "ok" and "Level" not in part.detail


def place(where: str) -> str:
    """A part's place in short: an ARN without its first five fields, and without its middle when long."""
    found = _ARN.match(where)
    short = found["rest"] if found else where
    return short if len(short) <= _LONGEST_PLACE else f"{short[:_FIRST_OF_PLACE]}…{short[_FIRST_OF_PLACE - _LONGEST_PLACE + 1 :]}"


def api_part(platform: Platform) -> Part:
    """The API's health by a signed GET /health, as a client sends it."""
    url = platform.api_url
    try:
        with Api(platform) as api:
            api.get("/health")
    except CHECK_FAILURES as error:
        return Part("api", "rest api", url, "bad", explain(error).cause)
    return Part("api", "rest api", url, "ok", "responds to /health")


def project_facts(platform: Platform, name: str) -> dict[str, Any]:
    """A project's champion and challenger, its latest run and its latest window."""
    registry = platform.registry
    endpoint = registry.endpoint(name)
    latest = executions.recent(platform, "train_and_deploy", lambda summary: True, limit=200)
    runs = {run.run_id for run in registry.runs(name, limit=50)}
    last = next((summary for summary in latest if executions.run_id(summary["name"]) in runs), None)
    window = next(iter(registry.monitoring(name, limit=1)), None)
    return {
        "project": name,
        "champion": endpoint.champion,
        "challenger": endpoint.challenger,
        "challenger_weight": endpoint.challenger_weight,
        "champion_metrics": registry.version(name, endpoint.champion).metrics if endpoint.champion else {},
        "last_run": {"name": last["name"], "status": last["status"], "started": last["startDate"]} if last else None,
        "last_window": window.model_dump(mode="json", exclude_unset=True) if window is not None else None,
    }


def window_cell(window: dict[str, Any]) -> str:
    """Levels of a window, and the number of predictions missing in it."""
    levels = f"drift {window['drift_level']}, harm {window['harm_level']} at {window['window_end']}"
    missing = window.get("uncollected", 0)
    return levels + (coloured(f", {missing} predictions not collected", "bad") if missing else "")


def show(
    out: Output,
    platform: Platform,
    parts: Sequence[Part],
    found: Sequence[Resource],
    projects: Sequence[dict[str, Any]],
    full: bool,
) -> None:
    """The tables."""
    healthy = sum(part.health == "ok" for part in parts)
    out.show(
        f"[bold]driftless {platform.stage}[/bold] at {platform.place}, commit {platform.parameters.get('commit', 'unknown')}"
    )
    verdict = coloured(f"{healthy} of {len(parts)} parts healthy", "ok" if healthy == len(parts) else "warn")
    out.show(f"{verdict}, {len(found)} resources\n")
    shown = sorted(
        (part for part in parts if full or not quiet(part)), key=lambda part: (ORDER.get(part.kind, len(ORDER)), part.name)
    )
    prefix = f"driftless-{platform.stage}-"
    rows = [
        (
            coloured(MARKS[part.health], part.health),
            part.kind,
            part.name.removeprefix(prefix),
            part.stack.removeprefix(prefix),
            part.detail,
            part.where if full else place(part.where),
        )
        for part in shown
    ]
    out.show(table("Parts", ("", "kind", "name", "stack", "health", "where"), rows))
    if len(shown) < len(parts):
        hidden = len(parts) - len(shown)
        out.show(f"[dim]and {hidden} healthy log groups, aliases and alarms; --full lists them and full ARNs[/dim]")
    others = ", ".join(f"{count} {kind}" for kind, count in health.counted(list(found)))
    out.show(f"[dim]resources without a health check: {others}[/dim]\n")
    cells = []
    for facts in projects:
        last, window = facts["last_run"], facts["last_window"]
        metrics = ", ".join(f"{name} {number(value, 3)}" for name, value in list(facts["champion_metrics"].items())[:2])
        challenger = f"version {facts['challenger']} at {facts['challenger_weight']:.0%}" if facts["challenger"] else "–"
        cells.append(
            (
                facts["project"],
                f"version {facts['champion']} {metrics}" if facts["champion"] else "none",
                challenger,
                f"{last['name']} {last['status']}" if last else "–",
                window_cell(window) if window else "–",
            )
        )
    out.show(table("Projects", ("project", "champion", "challenger", "last run", "last window"), cells))
    out.show(f"\nAPI {platform.api_url}")
