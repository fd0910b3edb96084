"""Run the bench: ``make bench``, or ``python -m tests.bench --local`` for what needs no cloud."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

from rich.console import Console

from cli.shared.platform import connect
from infra.functions import FUNCTIONS
from infra.layers import artifacts, build
from infra.settings import for_stage
from infra.sizes import LIMIT_BYTES, folder_bytes
from local_cloud.state import REPOSITORY
from tests.bench import in_process, on_cloud
from tests.bench.report import Row, show


def main() -> int:
    """Run every selected measurement, print one table."""
    parser = argparse.ArgumentParser(
        description="Measure Driftless on this machine; the cloud part needs `make demo` to have run."
    )
    parser.add_argument("--local", action="store_true", help="leave out what needs a deployed cloud")
    arguments = parser.parse_args()
    parts: list[Callable[[], Iterator[Row]]] = [in_process.predictions, in_process.drift, in_process.imports, sizes]
    if not arguments.local:
        platform = connect("local")
        parts += [lambda: on_cloud.steps(platform), lambda: on_cloud.invocations(platform), lambda: on_cloud.api(platform)]
    rows: list[Row] = []
    progress = Console(stderr=True)
    for part in parts:
        for row in part():
            progress.print(f"[dim]{row.section}: {row.what}[/dim]", highlight=False)
            rows.append(row)
    show(rows)
    return 0


def sizes() -> Iterator[Row]:
    """Unzipped size of each function with its layers beside Lambda's limit."""
    settings = for_stage("local")
    build(settings)
    built = artifacts(settings)
    for folder, spec in FUNCTIONS.items():
        total = folder_bytes(REPOSITORY / "lambdas" / folder) + sum(built[layer].unzipped_bytes for layer in spec.layers)
        yield Row("package", folder, total / 2**20, "MB", "limit", LIMIT_BYTES / 2**20)


if __name__ == "__main__":
    sys.exit(main())
