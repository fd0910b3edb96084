"""The steps of the demo in order. Each asks the deployed services first whether it has happened already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cli import cloud, data, executions
from cli.console import Output, coloured, number, seconds
from cli.demo import flights, loop
from cli.demo.flights import DATASETS, Month
from cli.demo.journal import Journal
from cli.demo.replay import replay, request_id
from cli.executions import Execution
from cli.failures import Failure
from cli.monitor import find_record
from cli.platform import Platform, connect, read_project
from cli.signing import Api
from cli.train import section
from driftless.records import MonitoringRecord

PROJECT = "flights"
HISTORY = tuple(Month(number) for number in range(1, 5))
FIRST_RUN = "demo-first"
HARMFUL = 2
ROWS_PER_MONTH = 8000
GREETING_ROWS = 3


@dataclass(frozen=True)
class Outcome:
    """What the summary needs to find everything again: names, not figures."""

    months: tuple[Month, ...]
    harmed: Month
    retraining_arn: str | None


class Story:
    """The demo against one deployed stage.

    Parameters
    ----------
    out : Output
        Where it is told.
    months : sequence of Month
        Months to replay, in order; the replay ends one month after the first retraining.
    """

    def __init__(self, out: Output, months: Sequence[Month]) -> None:
        self.out, self.months = out, tuple(months)
        self.definition = read_project(PROJECT)

    def tell(self) -> tuple[Platform, Journal, Outcome]:
        """All steps.

        Raises
        ------
        Failure
            At the first step that did not truly happen.
        """
        self.chapter("Start the cloud and deploy")
        endpoint, deployment = cloud.start_and_deploy(self.out)
        platform = connect("local")
        synthesis = seconds(deployment.synth_seconds) if deployment.synthesised else "not needed"
        self.out.say(f"  at {endpoint}: synthesis {synthesis}, deployment {seconds(deployment.deploy_seconds)}")
        journal = Journal(platform, PROJECT, Path(flights.CACHE) / "journal")
        self.chapter(f"Push {HISTORY[0]} to {HISTORY[-1]}")
        self.push(platform, HISTORY)
        self.chapter("Train and deploy the first model")
        first, there = loop.settled(platform, self.out, "train_and_deploy", FIRST_RUN, _manual(PROJECT))
        self.verdict(first, there)
        self.chapter("Call the API")
        self.greet(platform)
        harmed: Month | None = None
        retraining: Execution | None = None
        served: list[Month] = []
        for month in self.months:
            self.chapter(f"Serve {month}")
            record = self.serve(platform, journal, month, awaits_alarm=harmed is None)
            served.append(month)
            if harmed is not None:
                break
            if record.harm_level == HARMFUL:
                harmed = month
                retraining = self.retrain(platform, month)
        if harmed is None:
            raise Failure("monitoring", "no month was found harmful", "replay more months: `python -m cli.demo --months 5,6,7,8`")
        return platform, journal, Outcome(tuple(served), harmed, retraining.arn if retraining else None)

    def chapter(self, title: str) -> None:
        """A heading on stderr."""
        self.out.progress.rule(f"[bold]{title}[/bold]", align="left")

    def push(self, platform: Platform, months: Sequence[Month]) -> None:
        """Put the months' files into the landing bucket and wait until the lake has them."""
        pushed, since = [], None
        for dataset in DATASETS:
            files = [flights.file_of(dataset, month) for month in months]
            sent, began = data.upload(platform, self.out, PROJECT, dataset, files)
            pushed += sent
            since = since or began
        assert since is not None  # DATASETS is not empty
        for result in data.wait(platform, self.out, pushed, since):
            if result.status != "accepted":
                raise Failure(
                    f"ingest of {result.pushed.file}", "; ".join(result.reasons), "`driftless pipelines list --machine ingest`"
                )
            there = "" if result.pushed.sent else coloured("  already there", "idle")
            self.out.say(
                f"  {result.pushed.key:<34} {result.accepted_rows:>6} accepted {result.quarantined_rows:>4} quarantined{there}"
            )

    def verdict(self, run: Execution, there: bool) -> None:
        """What the gate said about a run's model, and what became of it."""
        evaluation, version = section(run, "evaluation"), section(run, "version")
        decision = evaluation["decision"]
        note = coloured("  already there", "idle") if there else ""
        shown = coloured(decision, "ok" if decision == "promote" else "warn")
        metrics = ", ".join(f"{name} {number(value)}" for name, value in evaluation["metrics"].items())
        self.out.say(f"  version {version['version']}: {shown} after {seconds(run.seconds)}{note}")
        self.out.say(f"  hold-out: {metrics}")
        for reason in evaluation["reasons"]:
            self.out.say(f"  [dim]{reason}[/dim]")
        status = section(run, "deployment").get("status")
        if decision == "promote" and status != "promoted":
            raise Failure(
                f"rollout of version {version['version']}", f"it ended {status}", f"`driftless pipelines show {run.name}`"
            )

    def greet(self, platform: Platform) -> None:
        """Three signed requests, as a client would make them."""
        month = HISTORY[-1]
        rows = flights.rows(self.definition, month, limit=GREETING_ROWS)
        with Api(platform) as api:
            health = api.get("/health")
            model = api.get(f"/{PROJECT}/model")
            reply = api.post(f"/{PROJECT}/predictions", {"records": [row.record for row in rows]}, request_id(PROJECT, month, 0))
        self.out.say(f"  GET  {platform.api_url}/health: {health['status']}")
        self.out.say(f"  GET  …/{PROJECT}/model: champion is version {model['champion']['version']}")
        for row, answer in zip(rows, reply["predictions"], strict=True):
            flight = f"{row.record['carrier']} {row.record['origin']}–{row.record['dest']}"
            truth = {True: "was late", False: "was on time", None: "never arrived"}[row.late]
            self.out.say(
                f"  POST …/{PROJECT}/predictions: {flight} late with probability {answer['probability']:.2f}; it {truth}"
            )

    def serve(self, platform: Platform, journal: Journal, month: Month, *, awaits_alarm: bool) -> MonitoringRecord:
        """Predict a month's rows, send their truth and the month's files, and let monitoring judge the month.

        An alarm that is to fire must be calm before: CloudWatch tells of changes of state only, and holds ALARM for minutes.
        """
        name = monitor_name(month)
        judged = executions.latest(platform, "monitor", name)
        fresh = judged is None or judged["status"] not in (executions.SUCCEEDED, executions.RUNNING)
        if fresh:
            rows = flights.rows(self.definition, month, limit=ROWS_PER_MONTH)
            sent = replay(platform, self.out, PROJECT, month, rows)
            journal.wait(self.out, month, sent.ids)
            self.out.say(f"  {len(sent.ids)} predictions answered, every one of them in the lake; {sent.labels} labels accepted")
        self.push(platform, [month])
        if awaits_alarm and fresh:
            loop.calm(platform, self.out, PROJECT)
        execution, there = loop.settled(
            platform, self.out, "monitor", name, {"project": PROJECT, "window_end": month.end.isoformat()}
        )
        record = find_record(execution.output)
        primary = self.definition.gates.primary
        level = {0: ("ok", "ok"), 1: ("warn", "warn"), 2: ("alert", "bad")}
        note = coloured("  already there", "idle") if there else ""
        seen, expected = number(record.metrics.get(primary)), number(record.reference_metrics.get(primary))
        drift, harm = coloured(*level[record.drift_level]), coloured(*level[record.harm_level])
        self.out.say(f"  monitoring: drift {drift}, harm {harm}; {primary} {seen} against {expected} expected{note}")
        moved = [signal.name for signal in record.signals if signal.level == HARMFUL and signal.name != "harm"]
        if moved:
            self.out.say(f"  [dim]inputs that moved: {', '.join(moved)}[/dim]")
        for signal in record.signals:
            if signal.level and signal.name == "harm":
                self.out.say(f"  [dim]{signal.reason}[/dim]")
        return record

    def retrain(self, platform: Platform, month: Month) -> Execution | None:
        """From harm to the gate's verdict: alarm, governor, execution; None when the governor declined."""
        self.chapter("Harm found: alarm, governor, retraining")
        judged = executions.read_latest(platform, "monitor", monitor_name(month))
        since = judged.started - timedelta(seconds=1)
        alarm = loop.fired(platform, self.out, PROJECT, since)
        self.out.say(f"  alarm {coloured(alarm.name, 'bad')} went to ALARM at {alarm.since:%H:%M:%S}")
        decided = loop.decision(platform, self.out, PROJECT, since)
        self.out.say(f"  governor: {'retrain' if decided.retrain else 'do not retrain'}: {'; '.join(decided.reasons)}")
        if not decided.retrain or decided.run_id is None:
            return None
        self.out.say(f"  retraining {decided.run_id}, started by the governor")
        run, there = loop.settled(platform, self.out, "train_and_deploy", decided.run_id)
        self.verdict(run, there)
        return run


def monitor_name(month: Month) -> str:
    """Name of the execution that judges a month."""
    return f"demo-{PROJECT}-{month}"


def _manual(project: str) -> dict[str, str]:
    return {"project": project, "reason": "manual", "requested_by": "demo"}
