"""The governor: whether somebody's wish for a retraining is granted, and the start of what was granted.

First decide, then do. :func:`decide` is a pure function of the project's policy and of what is known; :class:`Govern` lets the
registry keep its decision, once per event, and only then starts the execution under a name that follows from the event.
EventBridge delivers at least once and two alarms may fire together: the first delivery decides, the second answers the same, and
decisions about different events are made one after the other, each seeing the one before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from driftless.errors import BadProject
from driftless.ports import Clock, Registry, Workflow
from driftless.project import Project
from driftless.records import RetrainDecision, RetrainRequest

_STARTING = timedelta(minutes=5)
"""How long a granted retraining counts as running although neither list of executions nor registry show it yet."""


@dataclass(frozen=True)
class Training:
    """One training run: when it began, and the end of the events it learnt from and was judged on (None: not known yet)."""

    run_id: str
    began: datetime
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
    trainings = _trainings(runs, retrains)
    against: list[str] = []
    if request.reason not in policy.triggers:
        against.append(f"{request.reason} is not among the project's triggers ({', '.join(policy.triggers) or 'none'})")
    busy = _busy(project.name, runs, retrains, running, now)
    if busy:
        against.append(f"a training runs already: {', '.join(busy)}")
    if trainings:
        rested = trainings[0].began + timedelta(hours=policy.cooldown_hours)
        if now < rested:
            against.append(f"the last training began {_text(trainings[0].began)}; the next may begin {_text(rested)}")
    since = now - timedelta(days=policy.budget_days)
    spent = sum(training.began > since for training in trainings)
    if spent >= policy.budget_runs:
        against.append(f"{spent} trainings in {policy.budget_days:g} days, the budget is {policy.budget_runs}")
    labels = _new_labels(trainings, monitoring)
    if labels < policy.minimum_new_labels:
        against.append(f"{labels:.0f} labels since the last training, {policy.minimum_new_labels} are needed")
    granted = [f"{request.reason} asks for it; {spent} of {policy.budget_runs} trainings of the budget are used"]
    return RetrainDecision(
        project=project.name,
        reason=request.reason,
        retrain=not against,
        reasons=against or granted,
        run_id=None if against else name,
        decided_at=now,
    )


def _trainings(runs: Sequence[Mapping[str, Any]], retrains: Sequence[RetrainDecision]) -> list[Training]:
    """Every known training, newest first: recorded runs, and granted ones that have not been recorded yet."""
    recorded = {
        run["run_id"]: Training(run["run_id"], datetime.fromisoformat(run["recorded_at"]), _data_end(run)) for run in runs
    }
    granted = {
        past.run_id: Training(past.run_id, past.decided_at, None) for past in retrains if past.retrain and past.run_id is not None
    }
    return sorted({**granted, **recorded}.values(), key=lambda training: training.began, reverse=True)


def _data_end(run: Mapping[str, Any]) -> datetime | None:
    dataset = run.get("dataset", {})
    return datetime.fromisoformat(dataset["holdout_end"]) if "holdout_end" in dataset else None


def _busy(
    project: str,
    runs: Sequence[Mapping[str, Any]],
    retrains: Sequence[RetrainDecision],
    running: Sequence[str],
    now: datetime,
) -> list[str]:
    """Runs of this project under way. An execution belongs to the run named before its first dot."""
    recorded = {str(run["run_id"]) for run in runs}
    mine = (f"{project}-", f"retrain-{project}-")
    busy = {name.split(".", 1)[0] for name in running}
    found = {run_id for run_id in busy if run_id in recorded or run_id.startswith(mine)}
    starting = {past.run_id for past in retrains if past.retrain and past.run_id and now - past.decided_at < _STARTING}
    return sorted(found | (starting - recorded))


def _new_labels(trainings: Sequence[Training], monitoring: Sequence[Mapping[str, Any]]) -> float:
    """Labels in the newest window that no training has seen, pro rata where the window began before the last data ended."""
    if not monitoring:
        return 0
    report = monitoring[0]
    labels, end = float(report.get("labels", 0)), datetime.fromisoformat(report["window_end"])
    seen = max((training.data_end for training in trainings if training.data_end is not None), default=None)
    start = datetime.fromisoformat(report["window_start"]) if report.get("window_start") else None
    if seen is None or start is None or seen <= start:
        return labels
    return labels * max((end - seen) / (end - start), 0.0)


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


class Govern:
    """Decides about a request once, and starts what was granted.

    Parameters
    ----------
    registry : Registry
        Keeps decisions; knows runs and monitoring reports.
    workflow : Workflow
        The train-and-deploy machine.
    projects : mapping
        Projects by name.
    clock : callable
        Answers the time, aware, in UTC.
    """

    def __init__(self, *, registry: Registry, workflow: Workflow, projects: Mapping[str, Project], clock: Clock) -> None:
        self._registry = registry
        self._workflow = workflow
        self._projects = projects
        self._clock = clock

    def __call__(self, request: RetrainRequest) -> RetrainDecision:
        """The decision about one event; a granted retraining is running, or has run, when this returns."""
        name = request.project
        if name not in self._projects:
            raise BadProject(f"projects/{name}/project.toml", "", "the project is not deployed", "deploy it, or name another")
        project = self._projects[name]

        def fresh(retrains: Sequence[RetrainDecision]) -> RetrainDecision:
            # Executions are listed before runs are read: one that ends in between is then seen twice, never not at all.
            running = self._workflow.running()
            return decide(
                request,
                project,
                runs=self._registry.runs(name, limit=max(50, project.retraining.budget_runs)),
                retrains=retrains,
                monitoring=self._registry.monitoring(name, limit=1),
                running=running,
                now=self._clock(),
            )

        decision = self._registry.record_retrain(name, request.event_id, fresh)
        if decision.retrain and decision.run_id is not None:
            payload = {"project": name, "reason": request.reason, "requested_by": "governor"}
            self._workflow.start(decision.run_id, payload)
        return decision
