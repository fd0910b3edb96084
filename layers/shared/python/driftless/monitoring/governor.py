"""The governor: handles a request for a retraining.

The registry keeps one decision per event; only then a granted retraining is started, under a name that follows from the event.
EventBridge delivers at least once, and two deliveries may run at the same time. The first to write decides for all of them,
and each starts the execution of the same name, which Step Functions starts once. Decisions about different events are made one
after the other, each knowing the one before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from driftless.definition.loading import named
from driftless.definition.project import Project
from driftless.monitoring.retraining_policy import Known, decide
from driftless.ports import Clock, ReportReader, RetrainDecisions, RunHistory, RunLog, Workflow
from driftless.records import RetrainDecision, RetrainRequest, Run, RunFacts

_REPORTS = 10
"""Windows may be judged out of order, so the report made last need not be the newest window's."""


class GovernorRegistry(RunLog, RunHistory, ReportReader, RetrainDecisions, Protocol):
    """What the governor needs of the registry."""


class Govern:
    """Decides about a request once, and starts what was granted.

    Parameters
    ----------
    registry : GovernorRegistry
        Keeps decisions; lists runs and monitoring reports.
    workflow : Workflow
        The train-and-deploy state machine.
    projects : mapping
        Projects by name.
    clock : callable
        Returns the current time, timezone-aware.
    """

    def __init__(self, *, registry: GovernorRegistry, workflow: Workflow, projects: Mapping[str, Project], clock: Clock) -> None:
        self._registry = registry
        self._workflow = workflow
        self._projects = projects
        self._clock = clock

    def __call__(self, request: RetrainRequest) -> RetrainDecision:
        """The decision about one event; a granted retraining is running, or has run, when this returns.

        Raises
        ------
        NotFound
            When there is no such project.
        """
        name = request.project
        project = named(self._projects, name)

        def fresh(retrains: Sequence[RetrainDecision]) -> RetrainDecision:
            # Executions are listed before runs are read: a run that ends in between is then seen twice instead of never.
            running = self._workflow.running()
            known = Known(
                # Failed runs are listed between trainings, so more runs are read than the budget can count.
                runs=self._registry.runs(name, limit=50 + project.retraining.budget_runs),
                retrains=retrains,
                reports=self._registry.monitoring(name, limit=_REPORTS),
                running=running,
            )
            return decide(request, project, known, self._clock())

        decision = self._registry.record_retrain(name, request.event_id, fresh)
        if decision.retrain and decision.run_id is not None:
            payload = {"project": name, "reason": request.reason, "requested_by": "governor"}
            arn = self._workflow.start(decision.run_id, payload)
            # Recorded at its start, so that the run counts even if it fails before any step records it.
            run = Run(run_id=decision.run_id, execution_arn=arn, project=name, reason=request.reason)
            self._registry.record_run(run, RunFacts())
        return decision
