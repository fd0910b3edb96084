"""What end-to-end tests look at: rows of the generated files, predictions in the lake, processes of functions."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import psutil

from tests.e2e.checkout import Checkout

DEADLINE_SECONDS = 180
EMBEDDED = "AWS_ENDPOINT_URL" not in os.environ
"""Whether the cloud is the tests' own; another's is neither killed nor emptied."""


def eventually(check: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """Poll until ``check`` returns something truthy."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = check()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds} s; last result {check()!r}")


def request_rows(source: Path, columns: list[str], count: int) -> list[dict[str, Any]]:
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[-count:]
    return [{name: row[name] for name in columns} for row in rows]


def collected_rows(checkout: Checkout, project: str, folder: Path) -> list[tuple[str, int, str]]:
    """Id, version and variant of every prediction in the lake."""
    platform = checkout.platform()
    s3, bucket = platform.client("s3"), platform.parameter("buckets/lake")
    found: list[tuple[str, int, str]] = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"predictions/{project}/"):
        for entry in page.get("Contents", []):
            path = folder / "part.parquet"
            s3.download_file(bucket, entry["Key"], str(path))
            found += duckdb.sql(f"SELECT id, version, variant FROM read_parquet('{path}')").fetchall()
    return found


def collected_ids(checkout: Checkout, project: str, folder: Path) -> set[str]:
    """Ids of the predictions in the lake."""
    return {name for name, _, _ in collected_rows(checkout, project, folder)}


def functions_processes(checkout: Checkout, folder: str) -> list[psutil.Process]:
    arn = checkout.platform().parameter(f"functions/{folder}")
    name = arn.split(":function:")[1].split(":")[0]
    found = []
    for process in psutil.Process(checkout.server()["pid"]).children(recursive=True):
        try:
            if process.environ().get("AWS_LAMBDA_FUNCTION_NAME") == name:
                found.append(process)
        except psutil.Error:
            continue
    return found
