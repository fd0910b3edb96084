"""The steps of the demo in order. Each asks the deployed services first whether it has happened already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.markup import escape

from cli.commands import cloud
from cli.commands.monitor import find_record
from cli.commands.train import section
from cli.demo import flights, loop
from cli.demo.flights import DATASETS, Month
from cli.demo.loop import Judgements
from cli.demo.predictions import CollectedPredictions
from cli.demo.replay import replay, request_id
from cli.shared import executions, history, landing
from cli.shared.console import Output, coloured, number, seconds
from cli.shared.failures import Failure
from cli.shared.history import Execution
from cli.shared.platform import Platform, connect, read_project
from cli.shared.signing import Api
from driftless.records import MonitoringRecord, RetrainDecision

PROJECT = "flights"
HISTORY = tuple(Month(number) for number in range(1, 5))
FIRST_RUN = "demo-first"
HARMFUL = 2
# The functions' clock and that of the state machines may differ by this much.
CLOCK_SLACK = timedelta(seconds=1)
ROWS_PER_MONTH = 8000
GREETING_ROWS = 3


@dataclass(frozen=True)
class Outcome:
    """What the summary needs to find everything again: names, not figures."""

    months: tuple[Month, ...]
    retraining_arn: str


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

    def tell(self) -> tuple[Platform, CollectedPredictions, Outcome]:
        """All steps.

        Raises
        ------
        Failure
            At the first step that did not truly happen.
        """
        self.chapter("Start the cloud and deploy")
        endpoint, deployed, _ = cloud.start_and_deploy(self.out)
        platform = connect("local")
        synthesis = seconds(deployed.synth_seconds) if deployed.synthesised else "not needed"
        self.out.say(f"  at {endpoint}: synthesis {synthesis}, deployment {seconds(deployed.deploy_seconds)}")
        predictions = CollectedPredictions(platform, PROJECT, Path(flights.CACHE) / "predictions")
        self.chapter(f"Push {HISTORY[0]} to {HISTORY[-1]}")
        self.push(platform, HISTORY)
        self.chapter("Train and deploy the first model")
        first, there = loop.settled(platform, self.out, "train_and_deploy", FIRST_RUN, _manual(PROJECT))
        self.verdict(first, there)
        self.chapter("Call the API")
        self.greet(platform)
        return platform, predictions, self.serve_months(platform, predictions)

    def serve_months(self, platform: Platform, predictions: CollectedPredictions) -> Outcome:
        """Month after month until harm was found and answered by a retraining, and one more.

        The governor may decline, when a training of somebody else runs, say: then the next harmful month asks again.

        Raises
        ------
        Failure
            When no month was found harmful, or the governor declined each time: then there was no retraining to show.
        """
        retraining: Execution | None = None
        served: list[Month] = []
        declined: list[str] = []
        for month in self.months:
            self.chapter(f"Serve {month}")
            record = self.serve(platform, predictions, month, awaits_alarm=retraining is None)
            served.append(month)
            if retraining is not None:
                break
            decided = self.harm(platform, month, record)
            if decided is None:
                continue
            if decided.run_id is None:
                declined.append(f"{month}: {'; '.join(decided.reasons)}")
            else:
                retraining = self.retrain(platform, decided.run_id)
        if retraining is not None:
            return Outcome(tuple(served), retraining.arn)
        more = ",".join(str(number) for number in range(self.months[0].number, min(self.months[-1].number + 1, 12) + 1))
        again = f"serve more months (`python -m cli.demo --months {more}`), or start over with --fresh"
        if declined:
            raise Failure("retraining governor", "it declined: " + ", ".join(declined), f"see to its reasons; {again}")
        raise Failure("monitoring", "no month was found harmful", again)

    def chapter(self, title: str) -> None:
        """A heading on stderr."""
        self.out.progress.rule(f"[bold]{title}[/bold]", align="left")

    def push(self, platform: Platform, months: Sequence[Month]) -> None:
        """Put the months' files into the landing bucket and wait until the lake has them."""
        pushed, since = [], None
        for dataset in DATASETS:
            files = [flights.file_of(dataset, month) for month in months]
            sent, began = landing.upload(platform, self.out, PROJECT, dataset, files)
            pushed += sent
            since = since or began
        assert since is not None  # DATASETS is not empty
        for result in landing.wait(platform, self.out, pushed, since):
            if result.status != "accepted":
                raise Failure(
                    f"ingest of {result.pushed.file}", "; ".join(result.reasons), "`driftless pipelines list --machine ingest`"
                )
            there = "" if result.pushed.sent else coloured("  already there", "idle")
            counts = f"{result.accepted_rows:>6} accepted {result.quarantined_rows:>4} quarantined"
            self.out.say(f"  {escape(result.pushed.key):<34} {counts}{there}")

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
            self.out.say(f"  [dim]{escape(reason)}[/dim]")
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

    def serve(
        self, platform: Platform, predictions: CollectedPredictions, month: Month, *, awaits_alarm: bool
    ) -> MonitoringRecord:
        """Predict a month's rows, send their truth and the month's files, and let monitoring judge the month.

        An alarm that is to fire must be calm before: CloudWatch tells of changes of state only, and holds ALARM for minutes.
        """
        name = monitor_name(month)
        # Monitoring starts when every prediction lies in the lake: what it was asked to judge, however that ended, was sent.
        judged = executions.latest(platform, "monitor", name)
        if judged is None:
            rows = flights.rows(self.definition, month, limit=ROWS_PER_MONTH)
            sent = replay(platform, self.out, PROJECT, month, rows)
            predictions.wait(self.out, month, sent.ids)
            self.out.say(f"  {len(sent.ids)} predictions answered, every one of them in the lake; {sent.labels} labels accepted")
        self.push(platform, [month])
        asks = judged is None or judged["status"] not in (history.RUNNING, history.SUCCEEDED)
        if awaits_alarm and asks and not self.granted(platform, month):
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
            self.out.say(f"  [dim]inputs that moved: {escape(', '.join(moved))}[/dim]")
        for signal in record.signals:
            if signal.level and signal.name == "harm":
                self.out.say(f"  [dim]{escape(signal.reason)}[/dim]")
        return record

    def harm(self, platform: Platform, month: Month, record: MonitoringRecord) -> RetrainDecision | None:
        """From a month's harm to the governor's decision; None when the month is not harmful.

        The decision is what the alarm is for, and the registry keeps it: once it is there, the alarm has had its effect, and
        what CloudWatch remembers of it matters no more.
        """
        if record.harm_level != HARMFUL and not self.granted(platform, month):
            return None
        self.chapter("Harm found: alarm, governor, retraining")
        decided = loop.decision(platform, PROJECT, judgements(platform, month))
        if decided is None and self.untold(platform, month) and not self.judge_again(platform, month):
            return None
        judged = judgements(platform, month)
        name = loop.harm_alarm(platform, PROJECT).name

        def told() -> str | None:
            alarm, answered = loop.fired(platform, PROJECT, judged.latest), loop.decision(platform, PROJECT, judged)
            if alarm is not None:
                return f"went to ALARM at {alarm.since:%H:%M:%S}"
            return f"has had its effect, the governor decided at {answered.decided_at:%H:%M:%S}" if answered else None

        hint = "`driftless status` shows the alarm's state"
        said = loop.poll(self.out, f"alarm {name}", told, loop.ALARM_DEADLINE_SECONDS, hint)
        self.out.say(f"  alarm {coloured(name, 'bad')} {said}")
        decided = loop.poll(
            self.out,
            "the retraining governor",
            lambda: loop.decision(platform, PROJECT, judged),
            loop.GOVERNOR_DEADLINE_SECONDS,
            "`driftless logs governor`",
        )
        answer = "retrain" if decided.retrain else "do not retrain"
        self.out.say(f"  governor, asked by {loop.asker(decided)}: {answer}: {escape('; '.join(decided.reasons))}")
        return decided

    def granted(self, platform: Platform, month: Month) -> bool:
        """Whether the governor has already granted a retraining because of this month."""
        if executions.latest(platform, "monitor", monitor_name(month)) is None:
            return False
        decided = loop.decision(platform, PROJECT, judgements(platform, month))
        return decided is not None and decided.retrain

    def untold(self, platform: Platform, month: Month) -> bool:
        """Whether harm was found too long ago for its alarm still to come: the cloud was stopped before it could fire."""
        ended = judgements(platform, month).ended
        return ended is not None and (datetime.now(UTC) - ended).total_seconds() > loop.ALARM_DEADLINE_SECONDS

    def judge_again(self, platform: Platform, month: Month) -> bool:
        """Let monitoring find the harm once more, which the alarm will see; whether it is there."""
        self.out.say("  nobody was told of that harm before the cloud was stopped; judging the month again")
        loop.calm(platform, self.out, PROJECT)
        arn, _ = executions.rerun(platform, "monitor", monitor_name(month), anew=True)
        judged = executions.require_success(executions.follow(platform, arn, self.out))
        return find_record(judged.output).harm_level == HARMFUL

    def retrain(self, platform: Platform, run_id: str) -> Execution:
        """The retraining that was granted, to the gate's verdict; a refused challenger is a verdict like any other."""
        self.out.say(f"  retraining {run_id}, started by the governor")
        run, there = loop.settled(platform, self.out, "train_and_deploy", run_id)
        self.verdict(run, there)
        return run


def judgements(platform: Platform, month: Month) -> Judgements:
    """When a month was judged.

    Raises
    ------
    Failure
        When it was not.
    """
    arn = executions.execution_arn(platform.machine("monitor"), monitor_name(month))
    first, latest = executions.described(platform, arn), executions.latest(platform, "monitor", monitor_name(month))
    if first is None or latest is None:
        raise Failure(f"monitor {monitor_name(month)}", "it never ran", "`driftless pipelines list --machine monitor`")
    following = executions.execution_arn(platform.machine("monitor"), monitor_name(Month(month.number + 1)))
    after = executions.described(platform, following)
    return Judgements(
        first["startDate"] - CLOCK_SLACK,
        latest["startDate"] - CLOCK_SLACK,
        latest.get("stopDate"),
        after["startDate"] - CLOCK_SLACK if after else None,
    )


def monitor_name(month: Month) -> str:
    """Name of the execution that judges a month."""
    return f"demo-{PROJECT}-{month}"


def _manual(project: str) -> dict[str, str]:
    return {"project": project, "reason": "manual", "requested_by": "demo"}
