"""The retraining policy: whether a request for a retraining is granted, as a pure function of what is known.

A run is a training once its challenger was evaluated; the budget counts trainings. A run that ended without a gate decision
failed: it costs no budget, but the next run waits, and twice as long after each further failure in a row. No step records that
it failed: a failed run is one that is known, has no gate decision and does not run any more. A later attempt ``X.r2`` at a run
``X`` belongs to that run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from driftless.definition.operation import Retraining
from driftless.definition.project import Project
from driftless.records import RecordedRun, RetrainDecision, RetrainRequest, WindowReport

_STARTING = timedelta(minutes=5)
"""How long a granted retraining counts as running although neither the executions nor the registry list it yet."""
_SHORTEST_WAIT, _LONGEST_WAIT = timedelta(hours=1), timedelta(days=3)
"""After a failed run the next waits an hour at least; doubling ends at three days, unless the project's cooldown is longer."""
_ALERT = 2


@dataclass(frozen=True)
class Known:
    """What a decision is made from: the registry's runs, earlier decisions and reports, all newest first.

    ``running`` names the executions that are running, of any project.
    """

    runs: Sequence[RecordedRun]
    retrains: Sequence[RetrainDecision]
    reports: Sequence[WindowReport]
    running: Sequence[str]


@dataclass(frozen=True)
class Attempt:
    """One run: when it began, whether its challenger was evaluated, and the end of the events it read (None: not known)."""

    run_id: str
    began: datetime
    evaluated: bool
    data_end: datetime | None


def execution_name(request: RetrainRequest) -> str:
    """The execution's name for an event: the same at every delivery, 80 characters at most."""
    digest = hashlib.sha256(request.event_id.encode()).hexdigest()[:24]
    return f"retrain-{request.project}-{digest}"


def decide(request: RetrainRequest, project: Project, known: Known, now: datetime) -> RetrainDecision:
    """Grant or refuse one request, with every reason that counts.

    Parameters
    ----------
    request : RetrainRequest
        The trigger and its event.
    project : Project
        Its ``retraining`` section is the policy.
    known : Known
        What the registry and the workflow know.
    now : datetime
        The current time, timezone-aware.
    """
    policy, name = project.retraining, execution_name(request)
    attempts = _attempts(known.runs, known.retrains)
    busy = _busy(project.name, attempts, known, now)
    trainings = [attempt for attempt in attempts if attempt.evaluated or attempt.run_id in busy]
    spent = sum(training.began > now - timedelta(days=policy.budget_days) for training in trainings)
    against = [
        *_no_trigger(request, policy),
        *([f"a training is running: {', '.join(busy)}"] if busy else []),
        *_too_early(policy, attempts, busy, now),
        *_over_budget(policy, spent),
        *_too_few_labels(policy, trainings, known.reports),
        *_already_retrained(request, trainings, known.reports),
    ]
    granted = [f"trigger {request.reason}; {spent} of {policy.budget_runs} trainings of the budget are used"]
    return RetrainDecision(
        project=project.name,
        reason=request.reason,
        retrain=not against,
        reasons=against or granted,
        run_id=None if against else name,
        decided_at=now,
        asked_by=request.asked_by,
    )


def _attempts(runs: Sequence[RecordedRun], retrains: Sequence[RetrainDecision]) -> list[Attempt]:
    """Every known run, newest first: recorded ones, and granted ones that have not been recorded yet."""
    recorded = {
        run.run_id: Attempt(
            run.run_id, run.recorded_at, run.decision is not None, run.dataset.holdout_end if run.dataset is not None else None
        )
        for run in runs
    }
    granted = {
        past.run_id: Attempt(past.run_id, past.decided_at, False, None)
        for past in retrains
        if past.retrain and past.run_id is not None
    }
    return sorted({**granted, **recorded}.values(), key=lambda attempt: attempt.began, reverse=True)


def _busy(project: str, attempts: Sequence[Attempt], known: Known, now: datetime) -> list[str]:
    """Runs of this project under way. An execution belongs to the run named before its first dot."""
    recorded = {attempt.run_id for attempt in attempts}
    evaluated = {attempt.run_id for attempt in attempts if attempt.evaluated}
    mine = (f"{project}-", f"retrain-{project}-")
    running = {name.split(".", 1)[0] for name in known.running}
    found = {run_id for run_id in running if run_id in recorded or run_id.startswith(mine)}
    starting = {past.run_id for past in known.retrains if past.retrain and past.run_id and now - past.decided_at < _STARTING}
    return sorted(found | (starting - evaluated))


def _no_trigger(request: RetrainRequest, policy: Retraining) -> list[str]:
    if request.reason in policy.triggers:
        return []
    return [f"{request.reason} is not one of the project's triggers ({', '.join(policy.triggers) or 'none'})"]


def _too_early(policy: Retraining, attempts: Sequence[Attempt], busy: Sequence[str], now: datetime) -> list[str]:
    """Why the next run may not begin yet: the last training was too recent, or the last runs failed."""
    if not attempts:
        return []
    last = attempts[0]
    failed = len(list(takewhile(lambda attempt: not attempt.evaluated and attempt.run_id not in busy, attempts)))
    pause = timedelta(hours=policy.cooldown_hours)
    if not failed:
        text = f"the last training began {_text(last.began)}"
    else:
        first = max(pause, _SHORTEST_WAIT)
        # Seven doublings of an hour pass the longest wait; many more would overflow a timedelta.
        pause = max(first, min(first * 2 ** min(failed - 1, 7), _LONGEST_WAIT))
        runs = "the last run," if failed == 1 else f"the last {failed} runs, the newest"
        text = f"{runs} begun {_text(last.began)}, ended without a gate decision"
    rested = last.began + pause
    return [f"{text}; the next may begin {_text(rested)}"] if now < rested else []


def _over_budget(policy: Retraining, spent: int) -> list[str]:
    if spent < policy.budget_runs:
        return []
    return [f"{spent} trainings in {policy.budget_days:g} days, the budget is {policy.budget_runs}"]


def _too_few_labels(policy: Retraining, trainings: Sequence[Attempt], reports: Sequence[WindowReport]) -> list[str]:
    """Whether too few labels are newer than everything a training has read, by whole UTC days.

    The newest report counts the labels of every day that any window covered, each day once.
    """
    read = max((training.data_end for training in trainings if training.data_end is not None), default=None)
    days = reports[0].labels_by_day if reports else {}
    labels = sum(count for day, count in days.items() if read is None or datetime.fromisoformat(day).replace(tzinfo=UTC) >= read)
    if labels >= policy.minimum_new_labels:
        return []
    return [f"{labels} labels since the last training, {policy.minimum_new_labels} are needed"]


def _already_retrained(request: RetrainRequest, trainings: Sequence[Attempt], reports: Sequence[WindowReport]) -> list[str]:
    """Whether a training began since harm or drift was last found.

    An alarm may be delivered late, and alarm and monitoring may both request a retraining because of one report.
    """
    found = [report.recorded_at for report in reports if report.level(request.reason) == _ALERT]
    if not found or not trainings:
        return []
    last, began = max(found), trainings[0].began
    if last >= began:
        return []
    return [f"the {request.reason} of {_text(last)} has been retrained for: a training began {_text(began)}"]


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
