"""The steps of the demo in order. Each first checks in the services whether it is done."""

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
    """Names by which the summary finds what ran."""

    months: tuple[Month, ...]
    retraining_arn: str


class Story:
    """The demo against one deployed stage.

    Parameters
    ----------
    out : Output
        Where progress is printed.
    months : sequence of Month
        Months to replay, in order; the replay ends one month after the first retraining.
    """

    def __init__(self, out: Output, months: Sequence[Month]) -> None:
        self.out, self.months = out, tuple(months)
        self.definition = read_project(PROJECT)

    def run(self) -> tuple[Platform, CollectedPredictions, Outcome]:
        """Run all steps.

        Raises
        ------
        Failure
            At the first step that fails.
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
        self.show_decision(first, there)
        self.chapter("Call the API")
        self.greet(platform)
        return platform, predictions, self.serve_months(platform, predictions)

    def serve_months(self, platform: Platform, predictions: CollectedPredictions) -> Outcome:
        """Serve months until harm leads to a retraining, and one month more.

        The governor may refuse, for example while another training runs; the next harmful month triggers it again.

        Raises
        ------
        Failure
            When no month is harmful, or the governor refuses each time, so that there is no retraining.
        """
        retraining: Execution | None = None
        served: list[Month] = []
        refused: list[str] = []
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
                refused.append(f"{month}: {'; '.join(decided.reasons)}")
            else:
                retraining = self.retrain(platform, decided.run_id)
        if retraining is not None:
            return Outcome(tuple(served), retraining.arn)
        more = ",".join(str(number) for number in range(self.months[0].number, min(self.months[-1].number + 1, 12) + 1))
        again = f"serve more months (`python -m cli.demo --months {more}`), or start from the beginning with --fresh"
        if refused:
            raise Failure("retraining governor", "it refused: " + ", ".join(refused), f"remove its reasons; {again}")
        raise Failure("monitoring", "no month was found harmful", again)

    def chapter(self, title: str) -> None:
        """Print a heading to stderr."""
        self.out.progress.rule(f"[bold]{title}[/bold]", align="left")

    def push(self, platform: Platform, months: Sequence[Month]) -> None:
        """Upload the months' files and wait until they are ingested."""
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

    def show_decision(self, run: Execution, there: bool) -> None:
        """Print the gate decision of a run, and check its rollout."""
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
        """Send three signed requests, as a client does."""
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
        """Predict a month's rows, send labels and files, and run monitoring for the month.

        An alarm that should fire must have left ALARM before: CloudWatch notifies on changes of state only.
        """
        name = monitor_name(month)
        # Monitoring starts when every prediction is in the lake: a month with an execution has been sent.
        judged = executions.latest(platform, "monitor", name)
        if judged is None:
            rows = flights.rows(self.definition, month, limit=ROWS_PER_MONTH)
            sent = replay(platform, self.out, PROJECT, month, rows)
            predictions.wait(self.out, month, sent.ids)
            self.out.say(f"  {len(sent.ids)} predictions served, all of them in the lake; {sent.labels} labels accepted")
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
        """Wait for the alarm and the governor's decision about a month's harm; None when the month is not harmful.

        The registry stores the decision. Once it exists, the state of the alarm in CloudWatch no longer matters.
        """
        if record.harm_level != HARMFUL and not self.granted(platform, month):
            return None
        self.chapter("Harm found: alarm, governor, retraining")
        decided = loop.decision(platform, PROJECT, judgements(platform, month))
        if decided is None and self.alarm_missed(platform, month) and not self.monitor_again(platform, month):
            return None
        judged = judgements(platform, month)
        name = loop.harm_alarm(platform, PROJECT).name

        def reaction() -> str | None:
            alarm, answered = loop.fired(platform, PROJECT, judged.latest), loop.decision(platform, PROJECT, judged)
            if alarm is not None:
                return f"went to ALARM at {alarm.since:%H:%M:%S}"
            return f"has triggered the governor, which decided at {answered.decided_at:%H:%M:%S}" if answered else None

        hint = "`driftless status` shows the alarm's state"
        said = loop.poll(self.out, f"alarm {name}", reaction, loop.ALARM_DEADLINE_SECONDS, hint)
        self.out.say(f"  alarm {coloured(name, 'bad')} {said}")
        decided = loop.poll(
            self.out,
            "the retraining governor",
            lambda: loop.decision(platform, PROJECT, judged),
            loop.GOVERNOR_DEADLINE_SECONDS,
            "`driftless logs governor`",
        )
        answer = "retrain" if decided.retrain else "do not retrain"
        self.out.say(f"  governor, triggered by {loop.trigger_of(decided)}: {answer}: {escape('; '.join(decided.reasons))}")
        return decided

    def granted(self, platform: Platform, month: Month) -> bool:
        """Whether the governor has granted a retraining because of this month."""
        if executions.latest(platform, "monitor", monitor_name(month)) is None:
            return False
        decided = loop.decision(platform, PROJECT, judgements(platform, month))
        return decided is not None and decided.retrain

    def alarm_missed(self, platform: Platform, month: Month) -> bool:
        """Whether the alarm of a harmful month can no longer fire, because the cloud was stopped before."""
        ended = judgements(platform, month).ended
        return ended is not None and (datetime.now(UTC) - ended).total_seconds() > loop.ALARM_DEADLINE_SECONDS

    def monitor_again(self, platform: Platform, month: Month) -> bool:
        """Run monitoring again so that the alarm fires; whether it finds the harm again."""
        self.out.say("  the cloud was stopped before the alarm fired; monitoring the month again")
        loop.calm(platform, self.out, PROJECT)
        arn, _ = executions.rerun(platform, "monitor", monitor_name(month), anew=True)
        judged = executions.require_success(executions.follow(platform, arn, self.out))
        return find_record(judged.output).harm_level == HARMFUL

    def retrain(self, platform: Platform, run_id: str) -> Execution:
        """Follow the granted retraining to its gate decision, which may be to refuse the challenger."""
        self.out.say(f"  retraining {run_id}, started by the governor")
        run, there = loop.settled(platform, self.out, "train_and_deploy", run_id)
        self.show_decision(run, there)
        return run


def judgements(platform: Platform, month: Month) -> Judgements:
    """When a month was monitored.

    Raises
    ------
    Failure
        When it was not.
    """
    arn = executions.execution_arn(platform.machine("monitor"), monitor_name(month))
    first, latest = executions.described(platform, arn), executions.latest(platform, "monitor", monitor_name(month))
    if first is None or latest is None:
        raise Failure(f"monitor {monitor_name(month)}", "it has no execution", "`driftless pipelines list --machine monitor`")
    following = executions.execution_arn(platform.machine("monitor"), monitor_name(Month(month.number + 1)))
    after = executions.described(platform, following)
    return Judgements(
        first["startDate"] - CLOCK_SLACK,
        latest["startDate"] - CLOCK_SLACK,
        latest.get("stopDate"),
        after["startDate"] - CLOCK_SLACK if after else None,
    )


def monitor_name(month: Month) -> str:
    """Name of the execution that monitors a month."""
    return f"demo-{PROJECT}-{month}"


def _manual(project: str) -> dict[str, str]:
    return {"project": project, "reason": "manual", "requested_by": "demo"}
