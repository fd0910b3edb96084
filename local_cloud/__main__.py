"""``python -m local_cloud up|down|status``: the embedded cloud by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local_cloud import lifecycle
from local_cloud.state import DEFAULT_FOLDER


def main() -> int:
    """Run one command and return its exit code; ``status`` gives 1 when nothing answers."""
    parser = argparse.ArgumentParser(prog="python -m local_cloud", description="the embedded AWS")
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("--state", type=Path, default=DEFAULT_FOLDER, help="folder to keep the cloud's state in")
    parser.add_argument("--enforce-iam", action="store_true", help="judge requests by policies, as `driftless up` does")
    parser.add_argument("--port", type=int, help="loopback port (default: DRIFTLESS_PORT, or 4566)")
    arguments = parser.parse_args()
    try:
        if arguments.command == "up":
            cloud = lifecycle.up(arguments.state, arguments.port, enforce_iam=arguments.enforce_iam)
            print(f"{cloud.endpoint}" + (f" (process {cloud.pid}, log {cloud.log})" if cloud.ours else " (yours)"))
        elif arguments.command == "down":
            print("stopped" if lifecycle.down(arguments.state) else "was not running")
        else:
            found = lifecycle.status(arguments.state)
            print(f"{found.endpoint}: {'healthy' if found.healthy else 'running' if found.running else 'not running'}")
            return 0 if found.healthy else 1
    except lifecycle.CloudError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
