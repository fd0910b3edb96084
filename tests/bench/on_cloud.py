"""What needs a deployed cloud: invocations, the API, and the steps of a whole run, measured through the services themselves."""

from __future__ import annotations

import io
import json
import re
import statistics
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.config import Config

from cli.shared import executions, history
from cli.shared.platform import Platform
from driftless.definition.loading import load_all
from driftless.serving.inference.pages import example_request
from infra.functions import FUNCTIONS
from tests.bench.load import measure
from tests.bench.report import Row

WARM_TARGET_MS = 15.0
API_TARGET_MS = 25.0
# FastAPI with onnxruntime over plain HTTP, one worker, no gateway in front: requests a second at 1, 8 and 32 clients.
EARLIER_PLAIN_HTTP = {1: 2774.0, 8: 3554.0, 32: 3235.0}
_REPORT = re.compile(r"REPORT RequestId: \S+.*?Duration: ([\d.]+) ms.*?Max Memory Used: (\d+) MB", re.DOTALL)
# A step of the state machine and the function that does its work.
STEPS = {
    "Validate": "validation",
    "Ingest": "ingestion",
    "Transform": "transform",
    "Tune": "tuning",
    "Train": "training",
    "Score": "scoring",
    "Evaluate": "evaluation",
    "Register": "registration",
    "StartRollout": "deployment",
    "Monitor": "monitoring",
    "MonitorWindow": "monitoring",
}

TRAINING = ("transform", "tuning", "training", "scoring", "evaluation", "registration", "deployment")


def invocations(platform: Platform) -> Iterator[Row]:
    """A function that does nothing, invoked through the service: cold after a change of its configuration, then warm."""
    client = platform.session.client("lambda", config=Config(retries={"max_attempts": 0}))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("handler.py", "def handler(event, context):\n    return event\n")
    name = f"bench-trivial-{int(time.time())}"
    role = platform.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    runtime = client.get_function_configuration(FunctionName=platform.parameter("functions/labels"))["Runtime"]
    client.create_function(
        FunctionName=name,
        Runtime=runtime,
        Role=role,
        Handler="handler.handler",
        Code={"ZipFile": archive.getvalue()},
        MemorySize=256,
    )
    try:
        cold = []
        for index in range(5):
            client.update_function_configuration(FunctionName=name, Environment={"Variables": {"ROUND": str(index)}})
            cold.append(_seconds(lambda: client.invoke(FunctionName=name, Payload=b"{}")))
        warm = sorted(_seconds(lambda: client.invoke(FunctionName=name, Payload=b"{}")) for _ in range(300))
    finally:
        client.delete_function(FunctionName=name)
        platform.client("iam").delete_role(RoleName=name)
    yield Row("invoke", "trivial function, cold (earlier 160 ms)", statistics.median(cold) * 1e3, "ms")
    yield Row("invoke", "trivial function, warm p50", warm[150] * 1e3, "ms", "target", WARM_TARGET_MS)
    yield Row("invoke", "trivial function, warm p95", warm[285] * 1e3, "ms")


def api(platform: Platform, project: str = "flights", seconds: float = 6.0) -> Iterator[Row]:
    """One-record predictions through API Gateway at 1, 8 and 32 clients, each for a few seconds after a warm-up."""
    body = json.dumps(example_request(load_all()[project])).encode()
    for clients in (1, 8, 32):
        found = measure(platform, f"/{project}/predictions", body, clients=clients, warm_up=seconds / 2, seconds=seconds)
        target = API_TARGET_MS if clients == 1 else None
        yield Row("API", f"p50 at {clients} clients", found.quantile(0.5) * 1e3, "ms", "target" if target else "", target)
        yield Row("API", f"p95 at {clients} clients", found.quantile(0.95) * 1e3, "ms")
        earlier = EARLIER_PLAIN_HTTP[clients]
        yield Row("API", f"throughput at {clients} clients", found.per_second, "requests/s", "plain HTTP, no gateway", earlier)
        yield Row("API", f"errors at {clients} clients", found.errors, "requests", f"of {len(found.times)}")
        yield Row("API", f"the client's own CPU at {clients} clients", found.cpu_seconds / len(found.times) * 1e3, "ms/request")


def steps(platform: Platform) -> Iterator[Row]:
    """Each step of the last runs: wall time by the execution's history, peak memory by the function's own reports."""
    for machine in ("ingest", "train_and_deploy", "monitor"):
        last = next(
            iter(executions.recent(platform, machine, lambda summary: summary["status"] == history.SUCCEEDED, limit=200)), None
        )
        if last is None:
            continue
        run = executions.read(platform, last["executionArn"])
        for step in run.steps:
            function = STEPS.get(step.name)
            if function is None or step.seconds is None:
                continue
            limit = float(FUNCTIONS[function].memory)
            peak = max((report.peak for report in reported(platform, function)), default=0.0)
            yield Row("step", f"{machine} / {step.name}: time", step.seconds, "s")
            yield Row("step", f"{machine} / {step.name}: peak memory", peak, "MB", "configured", limit)
        if machine == "train_and_deploy":
            began, total = run.started.timestamp(), run.seconds
            waits = sum(step.seconds or 0 for step in run.steps if step.name == "Bake")
            compute = busy([report for name in TRAINING for report in reported(platform, name)], began, began + total)
            yield Row("pipeline", "train_and_deploy, whole run", total, "s")
            yield Row("pipeline", "of which in functions", compute, "s")
            yield Row("pipeline", "of which waiting for canary steps to bake", waits, "s")
            yield Row("pipeline", "of which orchestration: neither", max(0.0, total - compute - waits), "s", "limit", 10.0)


@dataclass(frozen=True)
class Report:
    """One invocation by its REPORT line: when it ran (seconds since 1970) and its peak memory in MB."""

    began: float
    ended: float
    peak: float


def reported(platform: Platform, function: str) -> list[Report]:
    """Every invocation of a function that its log group remembers."""
    logs, group = platform.client("logs"), log_group(platform, function)
    found = []
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group, filterPattern="REPORT"):
        for event in page["events"]:
            report = _REPORT.search(event["message"])
            if report:
                ended = event["timestamp"] / 1e3
                found.append(Report(ended - float(report.group(1)) / 1e3, ended, float(report.group(2))))
    return found


def busy(reports: Sequence[Report], since: float, until: float) -> float:
    """Seconds between two times in which at least one function ran; what runs side by side counts once."""
    total, reached = 0.0, since
    for report in sorted(reports, key=lambda each: each.began):
        began, ended = max(report.began, reached), min(report.ended, until)
        if ended > began:
            total, reached = total + ended - began, ended
    return total


def log_group(platform: Platform, function: str) -> str:
    """The log group of a function, as its configuration names it."""
    described = platform.client("lambda").get_function_configuration(FunctionName=platform.parameter(f"functions/{function}"))
    default = f"/aws/lambda/{described['FunctionName']}"
    return str(described.get("LoggingConfig", {}).get("LogGroup", default))


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
