"""``driftless up`` and ``driftless down``: the embedded cloud with the platform deployed on it, or the endpoint you name."""

from __future__ import annotations

import time

from rich.markup import escape

from cli.shared.console import JsonOption, Output, seconds
from cli.shared.failures import Failure
from local_cloud import clients, lifecycle
from local_cloud.deploy import DeployError, Deployment, deploy
from local_cloud.fidelity.comparison import compare, stage_stacks

LAST_WORDS = 8


def up(as_json: JsonOption = False) -> None:
    """Start the embedded cloud and deploy every stack and project to it; uses AWS_ENDPOINT_URL when it is set.

    Example: [bold]driftless up[/bold]
    """
    out = Output(as_json)
    began = time.monotonic()
    endpoint, deployment, findings = start_and_deploy(out)
    took = time.monotonic() - began
    out.say(f"deployed at {endpoint} in {seconds(took)}; `driftless status` shows every part")
    if as_json:
        out.document(
            {"endpoint": endpoint, "synthesised": deployment.synthesised, "seconds": round(took, 1), "not_emulated": findings}
        )


def unfaithful(endpoint: str) -> list[str]:
    """What a local cloud did not deploy as the templates say; empty on AWS, which is what the templates are written for."""
    if not clients.is_local(endpoint):
        return []
    session = clients.session(endpoint)
    return [str(finding) for finding in compare(session, stage_stacks(session, "local"))]


def down(as_json: JsonOption = False) -> None:
    """Stop the embedded cloud; what it holds is there again after `driftless up`.

    Example: [bold]driftless down[/bold]
    """
    out = Output(as_json)
    was_running = lifecycle.down()
    out.say("stopped" if was_running else "it was not running")
    if as_json:
        out.document({"stopped": was_running})


def start_and_deploy(out: Output) -> tuple[str, Deployment, list[str]]:
    """Make sure that a cloud answers and that it holds what the checkout says.

    Returns
    -------
    tuple
        The endpoint, what deploying it took, and what is not deployed as the templates say; the last is said as well.

    Raises
    ------
    Failure
        Naming the CDK step that failed and its last words.
    """
    with out.progress.status("starting the embedded cloud") as spinner:
        cloud = lifecycle.up(enforce_iam=True)

        def show(line: str) -> None:
            spinner.update(f"deploying: {escape(line.strip()[:100])}")

        try:
            deployment = deploy(endpoint=cloud.endpoint, progress=show)
        except DeployError as error:
            last = "\n".join(error.tail.strip().splitlines()[-LAST_WORDS:])
            raise Failure(f"cdk {error.step}", last, f"read {error.log}, correct the cause, then run it again") from error
        spinner.update("comparing what is deployed with the templates")
        findings = unfaithful(cloud.endpoint)
    for finding in findings:
        out.say(f"  [yellow]not as the template says[/yellow]  {escape(finding)}")
    return cloud.endpoint, deployment, findings
