"""``python -m local_cloud up|down|status|fidelity``: manage the embedded cloud by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local_cloud import clients, lifecycle
from local_cloud.fidelity.comparison import NOT_COMPARED, compare, stage_stacks
from local_cloud.state import DEFAULT_FOLDER


def main() -> int:
    """Run one command and return its exit code: 1 when it fails, is not healthy, or finds a difference."""
    arguments = _parser().parse_args()
    try:
        if arguments.command == "up":
            cloud = lifecycle.up(arguments.state, arguments.port, enforce_iam=arguments.enforce_iam)
            print(f"{cloud.endpoint}" + (f" (process {cloud.pid}, log {cloud.log})" if cloud.ours else " (yours)"))
            return 0
        if arguments.command == "down":
            print("stopped" if lifecycle.down(arguments.state) else "was not running")
            return 0
        if arguments.command == "fidelity":
            return fidelity(lifecycle.status(arguments.state).endpoint, arguments.stage)
        found = lifecycle.status(arguments.state)
        print(f"{found.endpoint}: {'healthy' if found.healthy else 'running' if found.running else 'not running'}")
        return 0 if found.healthy else 1
    except lifecycle.CloudError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def fidelity(endpoint: str, stage: str) -> int:
    """Compare a stage's stacks with their templates, print the findings, and return 1 when there are any."""
    session = clients.session(endpoint)
    names = stage_stacks(session, stage)
    if not names:
        print(f"error: no stack named driftless-{stage}-* is deployed at {endpoint}; deploy it first", file=sys.stderr)
        return 1
    findings = compare(session, names)
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings in {len(names)} stacks; not compared: {', '.join(sorted(NOT_COMPARED))}")
    return 1 if findings else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_cloud", description="the embedded AWS")
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--state", type=Path, default=DEFAULT_FOLDER, help="folder of the cloud's state")
    up = commands.add_parser("up", parents=[shared], help="start the cloud, or find the one that runs")
    up.add_argument("--enforce-iam", action="store_true", help="enforce policies, as `driftless up` does")
    up.add_argument("--port", type=int, help="loopback port (default: DRIFTLESS_PORT, or 4566)")
    commands.add_parser("down", parents=[shared], help="stop the cloud and its processes")
    commands.add_parser("status", parents=[shared], help="show whether the cloud is healthy")
    compared = commands.add_parser("fidelity", parents=[shared], help="compare what is deployed with the templates")
    compared.add_argument("--stage", default="local", help="stage whose stacks are compared (default: local)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
