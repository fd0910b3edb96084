"""``driftless train``: run the train_and_deploy state machine and show the gate decision."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cli.shared import executions, history
from cli.shared.console import JsonOption, Output, ProjectArgument, StageOption, coloured, number, seconds, table
from cli.shared.failures import Failure
from cli.shared.history import Execution
from cli.shared.platform import Platform, connect, deploy_hint, read_project

_NAME = re.compile(r"^[A-Za-z0-9_-]{1,70}$")
NameOption = Annotated[str | None, typer.Option("--name", help="Run id. A name in use selects that run instead of starting one.")]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Start the run and return.")]


def train(
    project: ProjectArgument,
    name: NameOption = None,
    no_wait: NoWaitOption = False,
    stage: StageOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Train a challenger, evaluate it at the gates, and deploy it when they decide promote.

    Example: [bold]driftless train flights --name july[/bold]
    """
    out = Output(as_json)
    read_project(project)
    platform = connect(stage)
    chosen = name or f"{project}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    arn = begin(platform, project, chosen)
    if no_wait:
        out.say(f"started {chosen}; `driftless pipelines show {chosen}` shows its progress")
        if as_json:
            out.document({"run_id": chosen, "arn": arn})
        return
    out.say(f"[bold]train_and_deploy[/bold] {chosen}")
    execution = executions.follow(platform, arn, out)
    if as_json and execution.status == history.SUCCEEDED:
        out.document(execution.document())
    executions.require_success(execution)
    if not as_json:
        show_decision(out, execution)


def begin(platform: Platform, project: str, name: str, reason: str = "manual") -> str:
    """Start a run by name, or find it; the execution's ARN.

    Raises
    ------
    Failure
        When the project is not deployed, or the name is not a run id.
    """
    if not _NAME.match(name):
        raise Failure("arguments", f"{name!r} is not a run id", "use up to 70 letters, digits, - and _ (a dot marks a rerun)")
    if project not in platform.deployed_projects:
        cause = f"project {project!r} is not deployed in stage {platform.stage!r}"
        raise Failure("deployment", cause, deploy_hint(platform.stage))
    return executions.start(platform, "train_and_deploy", name, {"project": project, "reason": reason, "requested_by": "cli"})


def section(execution: Execution, key: str) -> dict[str, Any]:
    """One record of an execution's output, empty when it has none."""
    found = (execution.output or {}).get(key)
    return found if isinstance(found, dict) else {}


def show_decision(out: Output, execution: Execution) -> None:
    """Gates, metrics and the rollout's result, from the execution's output."""
    evaluation, version, deployment = (section(execution, key) for key in ("evaluation", "version", "deployment"))
    decision = evaluation.get("decision", "unknown")
    health = {"promote": "ok", "refuse": "warn", "await_approval": "warn"}.get(decision, "bad")
    out.show(f"version {version.get('version', '?')}: {coloured(decision, health)} in {seconds(execution.seconds)}")
    gates = [
        (
            coloured("passed", "ok") if gate["passed"] else coloured("failed", "warn"),
            gate["gate"],
            number(gate["observed"]),
            gate["reason"],
        )
        for gate in evaluation.get("gates", [])
    ]
    out.show(table("Gates", ("", "gate", "observed", "reason"), gates))
    challenger, champion = evaluation.get("metrics", {}), evaluation.get("champion_metrics") or {}
    rows = [(metric, number(value), number(champion.get(metric))) for metric, value in challenger.items()]
    out.show(table("Hold-out metrics", ("metric", "challenger", "champion"), rows))
    if deployment:
        out.show(f"rollout: {deployment.get('status')}; champion is version {deployment.get('champion')}")
    if decision == "await_approval":
        out.show(f"approve with `driftless models promote {execution.input['project']} {version.get('version')}`")
