"""``driftless up`` and ``driftless down``: the embedded cloud with the platform deployed on it, or the endpoint you name."""

from __future__ import annotations

import time

from cli.console import JsonOption, Output, seconds
from cli.failures import Failure
from local_cloud import lifecycle


def up(as_json: JsonOption = False) -> None:
    """Start the embedded cloud and deploy every stack and project to it; uses AWS_ENDPOINT_URL when it is set.

    Example: [bold]driftless up[/bold]
    """
    out = Output(as_json)
    began = time.monotonic()
    endpoint = start_and_deploy(out)
    took = time.monotonic() - began
    out.say(f"deployed at {endpoint} in {seconds(took)}; `driftless status` shows every part")
    if as_json:
        out.document({"endpoint": endpoint, "seconds": round(took, 1)})


def down(as_json: JsonOption = False) -> None:
    """Stop the embedded cloud; what it holds is there again after `driftless up`.

    Example: [bold]driftless down[/bold]
    """
    out = Output(as_json)
    try:
        was_running = lifecycle.down()
    except lifecycle.CloudError as error:
        raise Failure("embedded cloud", str(error), "stop that process by hand") from error
    out.say("stopped" if was_running else "it was not running")
    if as_json:
        out.document({"stopped": was_running})
