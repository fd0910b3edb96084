"""``driftless up`` and ``driftless down``: the embedded cloud with the platform deployed on it, or the endpoint you name."""

from __future__ import annotations

import time

from rich.markup import escape

from cli.shared import local
from cli.shared.console import JsonOption, Output, seconds
from cli.shared.local import Deployed


def up(as_json: JsonOption = False) -> None:
    """Start the embedded cloud and deploy all stacks to it. With AWS_ENDPOINT_URL set, deploy there instead.

    Example: [bold]driftless up[/bold]
    """
    out = Output(as_json)
    began = time.monotonic()
    endpoint, deployed, findings = start_and_deploy(out)
    took = time.monotonic() - began
    out.say(f"deployed at {endpoint} in {seconds(took)}; `driftless status` shows every part")
    if as_json:
        out.document(
            {"endpoint": endpoint, "synthesised": deployed.synthesised, "seconds": round(took, 1), "not_emulated": findings}
        )


def down(as_json: JsonOption = False) -> None:
    """Stop the embedded cloud. Its data is kept; `driftless up` starts it again.

    Example: [bold]driftless down[/bold]
    """
    out = Output(as_json)
    was_running = local.stop()
    out.say("stopped" if was_running else "it was not running")
    if as_json:
        out.document({"stopped": was_running})


def start_and_deploy(out: Output) -> tuple[str, Deployed, list[str]]:
    """Start the cloud unless it runs, and deploy this checkout to it.

    Returns
    -------
    tuple
        The endpoint, what the deployment did, and each difference from the templates (also printed).
    """
    with out.progress.status("starting the embedded cloud") as spinner:
        endpoint = local.start()
        deployed = local.deploy(endpoint, lambda line: spinner.update(f"deploying: {escape(line.strip()[:100])}"))
        spinner.update("comparing the deployed stacks with the templates")
        findings = local.differences(endpoint)
    for finding in findings:
        out.say(f"  [yellow]differs from the template[/yellow]  {escape(finding)}")
    return endpoint, deployed, findings
