"""The governor: whether somebody's wish for a retraining is granted, and the start of what was granted.

First decide, then do. :func:`decide` is a pure function of the project's policy and of what is known; :class:`Govern` lets the
registry keep its decision, once per event, and only then starts the execution under a name that follows from the event.
EventBridge delivers at least once and two alarms may fire together: the first delivery decides, the second answers the same, and
decisions about different events are made one after the other, each seeing the one before.

A run is a training once its challenger was judged; that is what the budget counts. What ended without a verdict was none: it
costs no budget, but the next run waits, and twice as long after each further failure in a row. No stage records that it failed:
a failed run is one that is known, has no verdict and does not run any more. A later attempt ``X.r2`` at a run ``X`` is that run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, Protocol

from driftless.definition.loading import named
from driftless.definition.operation import Retraining
from driftless.definition.project import Project
from driftless.ports import Clock, ReportReader, RetrainDecisions, RunHistory, RunLog, Workflow
from driftless.records import RetrainDecision, RetrainRequest, Run

_STARTING = timedelta(minutes=5)
"""How long a granted retraining counts as running although neither list of executions nor registry show it yet."""


_SHORTEST_WAIT, _LONGEST_WAIT = timedelta(hours=1), timedelta(days=3)
"""After a failed run the next waits an hour at least; doubling ends at three days, unless the project's cooldown is longer."""
_ALERT = 2
_REPORTS = 10
"""Windows may be judged out of order, so the report made last need not be the newest window's."""


@dataclass(frozen=True)
class Attempt:
    """One run: when it began, whether its challenger was judged, and the end of the events it read (None: not known)."""

    run_id: str
    began: datetime
    judged: bool
    data_end: datetime | None


def execution_name(request: RetrainRequest) -> str:
    """The execution's name for an event: the same at every delivery, 80 characters at most."""
    digest = hashlib.sha256(request.event_id.encode()).hexdigest()[:24]
    return f"retrain-{request.project}-{digest}"


def decide(
    request: RetrainRequest,
    project: Project,
    *,
    runs: Sequence[Mapping[str, Any]],
    retrains: Sequence[RetrainDecision],
    monitoring: Sequence[Mapping[str, Any]],
    running: Sequence[str],
    now: datetime,
) -> RetrainDecision:
    """Grant or refuse one request, with every reason that counts.

    Parameters
    ----------
    request : RetrainRequest
        Who asks, and why.
    project : Project
        Its ``retraining`` section is the policy.
    runs, retrains, monitoring : sequences
        The registry's runs, earlier decisions and monitoring reports of the project, newest first.
    running : sequence of str
        Names of the executions that run now, of any project.
    now : datetime
        The time, aware, in UTC.
    """
    policy, name = project.retraining, execution_name(request)
    attempts = _attempts(runs, retrains)
    busy = _busy(project.name, attempts, retrains, running, now)
    trainings = [attempt for attempt in attempts if attempt.judged or attempt.run_id in busy]
    against: list[str] = []
    if request.reason not in policy.triggers:
        against.append(f"{request.reason} is not among the project's triggers ({', '.join(policy.triggers) or 'none'})")
    if busy:
        against.append(f"a training runs already: {', '.join(busy)}")
    against += _too_early(policy, attempts, busy, now)
    since = now - timedelta(days=policy.budget_days)
    spent = sum(training.began > since for training in trainings)
    if spent >= policy.budget_runs:
        against.append(f"{spent} trainings in {policy.budget_days:g} days, the budget is {policy.budget_runs}")
    labels = _new_labels(trainings, monitoring)
    if labels < policy.minimum_new_labels:
        against.append(f"{labels} labels since the last training, {policy.minimum_new_labels} are needed")
    against += _answered(request, trainings, monitoring)
    granted = [f"{request.reason} asks for it; {spent} of {policy.budget_runs} trainings of the budget are used"]
    return RetrainDecision(
        project=project.name,
        reason=request.reason,
        retrain=not against,
        reasons=against or granted,
        run_id=None if against else name,
        decided_at=now,
        asked_by=request.asked_by,
    )


def _attempts(runs: Sequence[Mapping[str, Any]], retrains: Sequence[RetrainDecision]) -> list[Attempt]:
    """Every known run, newest first: recorded ones, and granted ones that have not been recorded yet."""
    recorded = {
        run["run_id"]: Attempt(run["run_id"], datetime.fromisoformat(run["recorded_at"]), "decision" in run, _data_end(run))
        for run in runs
    }
    granted = {
        past.run_id: Attempt(past.run_id, past.decided_at, False, None)
        for past in retrains
        if past.retrain and past.run_id is not None
    }
    return sorted({**granted, **recorded}.values(), key=lambda attempt: attempt.began, reverse=True)


def _data_end(run: Mapping[str, Any]) -> datetime | None:
    dataset = run.get("dataset", {})
    return datetime.fromisoformat(dataset["holdout_end"]) if "holdout_end" in dataset else None


def _busy(
    project: str,
    attempts: Sequence[Attempt],
    retrains: Sequence[RetrainDecision],
    running: Sequence[str],
    now: datetime,
) -> list[str]:
    """Runs of this project under way. An execution belongs to the run named before its first dot."""
    known = {attempt.run_id for attempt in attempts}
    judged = {attempt.run_id for attempt in attempts if attempt.judged}
    mine = (f"{project}-", f"retrain-{project}-")
    busy = {name.split(".", 1)[0] for name in running}
    found = {run_id for run_id in busy if run_id in known or run_id.startswith(mine)}
    starting = {past.run_id for past in retrains if past.retrain and past.run_id and now - past.decided_at < _STARTING}
    return sorted(found | (starting - judged))


def _too_early(policy: Retraining, attempts: Sequence[Attempt], busy: Sequence[str], now: datetime) -> list[str]:
    """Why the next run may not begin yet: the last one was a training, or the last ones failed."""
    if not attempts:
        return []
    last = attempts[0]
    failed = len(list(takewhile(lambda attempt: not attempt.judged and attempt.run_id not in busy, attempts)))
    pause = timedelta(hours=policy.cooldown_hours)
    if not failed:
        text = f"the last training began {_text(last.began)}"
    else:
        first = max(pause, _SHORTEST_WAIT)
        # Seven doublings of an hour pass the longest wait; many more would pass what a time can hold.
        pause = max(first, min(first * 2 ** min(failed - 1, 7), _LONGEST_WAIT))
        runs = "the last run," if failed == 1 else f"the last {failed} runs, the newest"
        text = f"{runs} begun {_text(last.began)}, ended without a verdict"
    rested = last.began + pause
    return [f"{text}; the next may begin {_text(rested)}"] if now < rested else []


def _new_labels(trainings: Sequence[Attempt], monitoring: Sequence[Mapping[str, Any]]) -> int:
    """Labels of events later than all a training has read, by whole UTC days, so never one that a training has seen.

    The newest report knows the labels of every day that any window covered, each day once.
    """
    seen = max((training.data_end for training in trainings if training.data_end is not None), default=None)
    days: Mapping[str, int] = monitoring[0].get("labels_by_day", {}) if monitoring else {}
    return sum(count for day, count in days.items() if seen is None or datetime.fromisoformat(day).replace(tzinfo=UTC) >= seen)


def _answered(request: RetrainRequest, trainings: Sequence[Attempt], monitoring: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whether a training began since harm or drift was last found.

    An alarm may be delivered late, and alarm and monitoring may both ask because of one report.
    """
    found = [report["recorded_at"] for report in monitoring if report.get(f"{request.reason}_level") == _ALERT]
    if not found or not trainings:
        return []
    last, began = max(map(datetime.fromisoformat, found)), trainings[0].began
    return [f"the training that began {_text(began)} answers the {request.reason} found {_text(last)}"] if last < began else []


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


class GovernorRegistry(RunLog, RunHistory, ReportReader, RetrainDecisions, Protocol):
    """What the governor needs of the registry."""


class Govern:
    """Decides about a request once, and starts what was granted.

    Parameters
    ----------
    registry : GovernorRegistry
        Keeps decisions; knows runs and monitoring reports.
    workflow : Workflow
        The train-and-deploy machine.
    projects : mapping
        Projects by name.
    clock : callable
        Answers the time, aware, in UTC.
    """

    def __init__(self, *, registry: GovernorRegistry, workflow: Workflow, projects: Mapping[str, Project], clock: Clock) -> None:
        self._registry = registry
        self._workflow = workflow
        self._projects = projects
        self._clock = clock

    def __call__(self, request: RetrainRequest) -> RetrainDecision:
        """The decision about one event; a granted retraining is running, or has run, when this returns."""
        name = request.project
        project = named(self._projects, name)

        def fresh(retrains: Sequence[RetrainDecision]) -> RetrainDecision:
            # Executions are listed before runs are read: one that ends in between is then seen twice, never not at all.
            running = self._workflow.running()
            return decide(
                request,
                project,
                # Failed runs stand between trainings, so more runs are read than the budget can count.
                runs=self._registry.runs(name, limit=50 + project.retraining.budget_runs),
                retrains=retrains,
                monitoring=self._registry.monitoring(name, limit=_REPORTS),
                running=running,
                now=self._clock(),
            )

        decision = self._registry.record_retrain(name, request.event_id, fresh)
        if decision.retrain and decision.run_id is not None:
            payload = {"project": name, "reason": request.reason, "requested_by": "governor"}
            arn = self._workflow.start(decision.run_id, payload)
            # Known from its start, so that it counts even if it fails before any stage records it.
            self._registry.record_run(Run(run_id=decision.run_id, execution_arn=arn, project=name, reason=request.reason), {})
        return decision
