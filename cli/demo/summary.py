"""The closing tables. Every figure is read from the deployed services."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from cli.commands.monitor import LEVELS, find_record
from cli.commands.train import section
from cli.demo import loop
from cli.demo.flights import DATASETS
from cli.demo.predictions import CollectedPredictions
from cli.demo.story import FIRST_RUN, PROJECT, Outcome, monitor_name
from cli.shared import executions, health
from cli.shared.console import Markup, Output, coloured, number, seconds, table
from cli.shared.history import Execution
from cli.shared.platform import EVERY, Platform, read_project
from driftless.core.layout.artifacts import MODELS
from driftless.core.layout.parameters import bucket_parameter


def show(out: Output, platform: Platform, predictions: CollectedPredictions, outcome: Outcome) -> None:
    """Print the summary."""
    first = executions.read_latest(platform, "train_and_deploy", FIRST_RUN)
    retraining = executions.read(platform, outcome.retraining_arn)
    out.show("")
    out.show(what_ran(platform, predictions, outcome, first, retraining))
    out.show("")
    out.show(months(platform, predictions, outcome))
    out.show("")
    out.show(verdicts(retraining))
    out.show("")
    out.show(where(platform))
    out.show("")
    out.show(next_steps(platform))


def what_ran(
    platform: Platform, predictions: CollectedPredictions, outcome: Outcome, first: Execution, retraining: Execution
) -> Table:
    """Each part of the loop, its result, and its duration as the service reports it."""
    found = health.stacks(platform)
    count = sum(len(health.resources(platform, stack["StackName"])) for stack in found)
    took = sum(health.deploy_seconds(platform, stack["StackName"]) for stack in found)
    rows: list[tuple[Any, ...]] = [("deploy (CloudFormation)", f"{len(found)} stacks, {count} resources", seconds(took))]
    for dataset in DATASETS:
        rows.append((f"ingest {dataset}", ingested(platform, dataset), ""))
    rows.append((f"train {first.name}", _verdict(first), seconds(first.seconds)))
    for month in outcome.months:
        there = predictions.kept(month)
        if there is not None:
            served = (there.last - there.first).total_seconds()
            versions = ", ".join(map(str, there.versions))
            what = f"{there.predictions} predictions in {there.requests} requests by version {versions}"
            rows.append((f"serve {month}", f"{what}, median {there.latency_ms:.1f} ms", seconds(served)))
        judged = executions.read_latest(platform, "monitor", monitor_name(month))
        record = find_record(judged.output)
        levels = f"drift {coloured(*LEVELS[record.drift_level])}, harm {coloured(*LEVELS[record.harm_level])}"
        rows.append((f"monitor {month}", Markup(f"{levels} on {record.labels} labels"), seconds(judged.seconds)))
    alarm = loop.harm_alarm(platform, PROJECT)
    rows.append(("alarm", f"{alarm.name}: now {alarm.state}", ""))
    for decision in reversed(platform.registry.retrains(PROJECT, limit=EVERY)):
        answer = f"retrain as {decision.run_id}" if decision.retrain else "no retraining: " + "; ".join(decision.reasons)
        rows.append((f"governor, {decision.reason}, triggered by {loop.trigger_of(decision)}", answer, ""))
    rows.append((f"retrain {retraining.name}", _verdict(retraining), seconds(retraining.seconds)))
    return table("What ran", ("what", "result", "took"), rows)


def ingested(platform: Platform, dataset: str) -> str:
    """All ingests of a dataset, from the registry."""
    ingests = platform.registry.ingests(PROJECT, dataset, limit=EVERY)
    kept, aside = sum(i.rows for i in ingests), sum(i.quarantined_rows for i in ingests)
    return f"{len(ingests)} files, {kept} rows, {aside} quarantined"


def _verdict(run: Execution) -> Markup:
    decision = section(run, "evaluation").get("decision", "unknown")
    shown = {"promote": "promoted by the gate", "refuse": "refused by the gate"}.get(decision, decision)
    return Markup(
        f"version {section(run, 'version').get('version')} {coloured(shown, 'ok' if decision == 'promote' else 'warn')}"
    )


def months(platform: Platform, predictions: CollectedPredictions, outcome: Outcome) -> Table:
    """The metrics of the gates, month by month, and the versions that served."""
    policy = read_project(PROJECT).gates
    names = list(dict.fromkeys([policy.primary, *(gate.metric for gate in policy.absolute)]))
    rows = []
    for month in outcome.months:
        judged = executions.read_latest(platform, "monitor", monitor_name(month))
        record = find_record(judged.output)
        there = predictions.kept(month)
        versions = ", ".join(map(str, there.versions)) if there else "–"
        cells = [f"{number(record.metrics.get(name), 3)} ({number(record.reference_metrics.get(name), 3)})" for name in names]
        rows.append((str(month), versions, *cells))
    others = ", ".join(names[1:])
    beside = f"in brackets: {names[0]} expected of unseen periods" + (f", {others} on the model's hold-out" if others else "")
    return table(f"Served ({beside})", ("month", "version", *names), rows)


def verdicts(run: Execution) -> Table:
    """Challenger and champion on the hold-out of the retraining."""
    evaluation = section(run, "evaluation")
    challenger, champion = evaluation["metrics"], evaluation.get("champion_metrics") or {}
    rows = [(name, number(value), number(champion.get(name))) for name, value in challenger.items()]
    rows += [
        ("gate " + gate["gate"], coloured("passed", "ok") if gate["passed"] else coloured("failed", "warn"), gate["reason"])
        for gate in evaluation["gates"]
    ]
    return table("Retraining: hold-out metrics and gates", ("metric", "challenger", "champion"), rows)


def where(platform: Platform) -> Table:
    """URLs and places."""
    url = platform.api_url
    rows = [
        ("API", url),
        ("API description", f"{url}/docs (for machines {url}/openapi.json)"),
        ("endpoint", platform.place),
        ("lake", f"s3://{platform.parameter(bucket_parameter('lake'))}"),
        ("models", f"s3://{platform.parameter(bucket_parameter('artifacts'))}/{MODELS}{PROJECT}/"),
        ("champion", f"version {platform.registry.endpoint(PROJECT).champion}"),
    ]
    return table("Where", ("what", "where"), rows)


def next_steps(platform: Platform) -> Table:
    """Commands to try next."""
    champion = platform.registry.endpoint(PROJECT).champion
    rows = [
        (".venv/bin/driftless status", "every deployed part and its health"),
        (f".venv/bin/driftless models show {PROJECT} {champion}", "model card and lineage of the champion"),
        (f".venv/bin/driftless pipelines show {FIRST_RUN}", "the steps of the first run"),
        (".venv/bin/driftless logs inference", "the log of the API's function"),
        ("make down", "stop the embedded cloud; `make up` starts it again with its data"),
    ]
    return table("Next", ("type", "to see"), rows)
