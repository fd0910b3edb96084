"""Rollout: a challenger replaces the champion step by step, or is rolled back.

:func:`decide` is pure: from the endpoint and the observed metrics it returns a frozen decision with its reasons.
:class:`Deploy` executes the decision by one conditional move of the endpoint, then updates the copy that serving reads. The
challenger's share of traffic identifies the step, so a repeated call (a retry, a second delivery) finds its work done and
returns the same. Metrics are late and there may be no traffic: a step without a prediction keeps baking, for as long as the
project allows. The registry is the source of truth; the copy follows it and never returns to an older revision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from driftless.core.layout.artifacts import serving_endpoint
from driftless.definition.loading import named
from driftless.definition.operation import Serving
from driftless.definition.project import Project
from driftless.errors import Conflict, IllegalMove, NotFound
from driftless.ports import (
    AuditReader,
    Clock,
    ConditionalReader,
    ConditionalWriter,
    EndpointMover,
    EndpointReader,
    MetricReader,
    RunLog,
    VersionReader,
)
from driftless.records import DeploymentFacts, DeploymentRecord, DeploymentRequest, Endpoint, ModelVersion, RunFacts

Action = Literal["canary", "promote", "roll_back", "abandon", "leave"]
_ATTEMPTS = 20


class EndpointCopy(ConditionalReader, ConditionalWriter, Protocol):
    """What a rollout needs of the artifacts bucket."""


class Endpoints(EndpointReader, EndpointMover, Protocol):
    """What rolling back needs of the registry."""


class VersionedEndpoints(Endpoints, VersionReader, Protocol):
    """What promoting a version needs of the registry."""


class RolloutRegistry(VersionedEndpoints, AuditReader, RunLog, Protocol):
    """What a rollout needs of the registry."""


@dataclass(frozen=True)
class Observed:
    """What the challenger did in the ``seconds`` since its current share was set: predictions it made, and could not make."""

    predictions: float
    errors: float
    seconds: float

    @property
    def nothing(self) -> bool:
        """Whether no request is known yet."""
        return not self.predictions + self.errors

    @property
    def error_rate(self) -> float:
        """Errors per attempt, 0 when there was none."""
        attempts = self.predictions + self.errors
        return self.errors / attempts if attempts else 0.0


@dataclass(frozen=True)
class RolloutDecision:
    """What to do with the endpoint, and why; ``endpoint`` is the new endpoint, None to leave it unchanged."""

    action: Action
    status: Literal["baking", "promoted", "rolled_back"]
    step: int
    endpoint: Endpoint | None
    reasons: tuple[str, ...]


def decide(
    endpoint: Endpoint,
    version: ModelVersion,
    step: int | None,
    serving: Serving,
    observed: Observed,
    *,
    past: Sequence[str] = (),
    abandon: bool = False,
) -> RolloutDecision:
    """The next step of one version's rollout.

    Parameters
    ----------
    endpoint : Endpoint
        Who serves now.
    version : ModelVersion
        The challenger that passed its gates.
    step : int or None
        The step whose baking is over; None when the rollout begins (or begins again).
    serving : Serving
        The project's steps and limits.
    observed : Observed
        What the challenger did during that step.
    past : sequence of str
        Earlier moves of this version's run, oldest first; they distinguish a finished rollout from one that never began.
    abandon : bool
        The rollout failed elsewhere: roll the challenger back.

    Raises
    ------
    IllegalMove
        When the gates did not decide that this version may be promoted.
    """
    number, last = version.version, len(serving.canary_steps) - 1
    if endpoint.champion == number:
        return RolloutDecision("leave", "promoted", last + 1, None, (f"version {number} is champion",))
    if abandon:
        return _abandoned(endpoint, number)
    if version.decision != "promote":
        raise IllegalMove(f"version {number} was decided {version.decision}; only a person can promote it")
    if endpoint.challenger != number:
        return _begin(endpoint, version, step, serving, past)
    current = _step_of(endpoint.challenger_weight, serving.canary_steps)
    share = f"{endpoint.challenger_weight:.0%} of traffic"
    if step is None or current != step:
        return RolloutDecision("leave", "baking", current, None, (f"version {number} already has {share}",))
    seen = f"{observed.errors:g} errors in {observed.predictions + observed.errors:g} predictions with {share}"
    if observed.error_rate > serving.max_error_rate:
        reason = f"{seen}: {observed.error_rate:.2%} is more than the {serving.max_error_rate:.2%} allowed"
        return RolloutDecision("roll_back", "rolled_back", step, _without_challenger(endpoint), (reason,))
    if observed.nothing:
        patience = (1 + serving.quiet_bakes) * serving.bake_seconds
        if observed.seconds < patience:
            reason = f"no prediction with {share} yet: bakes on, for {patience} s at most"
            return RolloutDecision("leave", "baking", step, None, (reason,))
        seen = f"no prediction with {share} within {patience} s, which is no evidence against version {number}"
    if current >= last:
        return RolloutDecision("promote", "promoted", last + 1, _with_champion(endpoint, number), (seen, "every step is baked"))
    return _canary(endpoint, number, current + 1, serving.canary_steps, seen)


def _begin(endpoint: Endpoint, version: ModelVersion, step: int | None, serving: Serving, past: Sequence[str]) -> RolloutDecision:
    """The first step, unless this rollout is over already."""
    number = version.version
    if past and past[-1] == "promote":
        reason = f"version {number} was promoted and replaced since"
        return RolloutDecision("leave", "promoted", len(serving.canary_steps), None, (reason,))
    if step is not None or (past and past[-1] != "abandon"):
        taken = "it was rolled back" if past and past[-1] == "roll_back" else "it was replaced"
        return RolloutDecision("leave", "rolled_back", step or 0, None, (f"version {number} is no longer challenger: {taken}",))
    if endpoint.champion is None:
        return RolloutDecision("promote", "promoted", 0, _with_champion(endpoint, number), ("there is no champion yet",))
    compared = version.tags.get("compared_with")
    if compared is not None and compared != str(endpoint.champion):
        judged = f"version {compared}" if compared else "no champion"
        reason = f"its gates compared version {number} with {judged}, but version {endpoint.champion} is champion now"
        return RolloutDecision("leave", "rolled_back", 0, None, (reason,))
    if not serving.canary_steps:
        return RolloutDecision(
            "promote", "promoted", 0, _with_champion(endpoint, number), ("the project defines no canary steps",)
        )
    replaced = f"replaces challenger {endpoint.challenger}" if endpoint.challenger is not None else "no rollout is under way"
    return _canary(endpoint, number, 0, serving.canary_steps, replaced)


def _canary(endpoint: Endpoint, number: int, step: int, steps: Sequence[float], reason: str) -> RolloutDecision:
    moved = endpoint.model_copy(update={"challenger": number, "challenger_weight": steps[step]})
    reasons = (reason, f"version {number} gets {steps[step]:.0%} of traffic, step {step + 1} of {len(steps)}")
    return RolloutDecision("canary", "baking", step, moved, reasons)


def _abandoned(endpoint: Endpoint, number: int) -> RolloutDecision:
    if endpoint.challenger != number:
        return RolloutDecision("leave", "rolled_back", 0, None, (f"version {number} gets no traffic",))
    return RolloutDecision("abandon", "rolled_back", 0, _without_challenger(endpoint), ("the rollout failed",))


def _step_of(weight: float, steps: Sequence[float]) -> int:
    """The step a share of traffic belongs to: the last one that does not exceed it."""
    return max((index for index, share in enumerate(steps) if share <= weight), default=-1)


def _without_challenger(endpoint: Endpoint) -> Endpoint:
    return endpoint.model_copy(update={"challenger": None, "challenger_weight": 0.0})


def _with_champion(endpoint: Endpoint, number: int) -> Endpoint:
    change = {"champion": number, "previous_champion": endpoint.champion, "challenger": None, "challenger_weight": 0.0}
    return endpoint.model_copy(update=change)


class Deploy:
    """The deployment step.

    Parameters
    ----------
    registry : RolloutRegistry
        Holds endpoint and audit chain.
    artifacts : EndpointCopy
        Holds the endpoint's copy under ``serving/``.
    metrics : MetricReader
        Where inference's ``Predictions`` and ``PredictionErrors`` are summed.
    projects : mapping
        Projects by name.
    stage : str
        The stage (local, dev, prod), a dimension of the metrics.
    clock : callable
        Returns the current time, timezone-aware.
    """

    def __init__(
        self,
        *,
        registry: RolloutRegistry,
        artifacts: EndpointCopy,
        metrics: MetricReader,
        projects: Mapping[str, Project],
        stage: str,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._metrics = metrics
        self._projects = projects
        self._stage = stage
        self._clock = clock

    def __call__(self, request: DeploymentRequest) -> DeploymentRecord:
        """Take one step of a rollout.

        Raises
        ------
        IllegalMove
            When the gates did not decide that this version may be promoted.
        NotFound
            When there is no such project, or the version is not registered.
        """
        name, number = request.run.project, request.version.version
        serving = named(self._projects, name).serving
        version = self._registry.version(name, number)
        step = request.deployment.step if request.deployment is not None else None
        actor = f"run/{version.run_id}"

        def choose(now: Endpoint) -> RolloutDecision:
            observed = self._observed(now, number) if step is not None else Observed(0, 0, 0)
            past = self._past(now, number, actor)
            return decide(now, version, step, serving, observed, past=past, abandon=request.abandon)

        decision = _settle(self._registry, name, choose, actor)
        after = publish_endpoint(self._registry, self._artifacts, name)
        facts = DeploymentFacts(status=decision.status, step=decision.step, reasons=list(decision.reasons))
        self._registry.record_run(request.run, RunFacts(deployment=facts))
        return DeploymentRecord(
            status=decision.status,
            step=decision.step,
            weight=after.challenger_weight if after.challenger == number else float(after.champion == number),
            bake_seconds=serving.bake_seconds if decision.status == "baking" else 0,
            champion=after.champion,
            previous_champion=after.previous_champion,
            reasons=list(decision.reasons),
        )

    def _observed(self, endpoint: Endpoint, number: int) -> Observed:
        """The challenger's counts since the minute its share was set."""
        if endpoint.challenger != number:
            return Observed(0, 0, 0)
        where = {"Stage": self._stage, "Project": endpoint.project, "Version": str(number)}
        now = self._clock()
        # Metrics are kept by the minute, and an interval counts from the minute it begins in; one that ends within the second it
        # began in is empty, which CloudWatch refuses.
        since, until = endpoint.updated_at.replace(second=0, microsecond=0), now + timedelta(seconds=1)
        return Observed(
            predictions=sum(self._metrics.minutes("Predictions", where, since, until).values()),
            errors=sum(self._metrics.minutes("PredictionErrors", where, since, until).values()),
            seconds=(now - endpoint.updated_at).total_seconds(),
        )

    def _past(self, endpoint: Endpoint, number: int, actor: str) -> list[str]:
        """Earlier moves of this run; read only when the endpoint does not show them."""
        if number in (endpoint.champion, endpoint.challenger):
            return []
        return [
            event.action
            for event in self._registry.audit(endpoint.project)
            if event.actor == actor and event.action != "register"
        ]


def promote(registry: VersionedEndpoints, artifacts: EndpointCopy, project: str, version: int, actor: str) -> Endpoint:
    """Make a registered version champion at once, whatever its gates decided; the audit chain names the person.

    Raises
    ------
    NotFound
        When the version is not registered.
    IllegalMove
        When it is champion already.
    """
    registered = registry.version(project, version)

    def chosen(now: Endpoint) -> RolloutDecision:
        if now.champion == version:
            raise IllegalMove(f"version {version} of {project} is champion already")
        reason = f"promoted by hand; its gates decided {registered.decision}"
        return RolloutDecision("promote", "promoted", 0, _with_champion(now, version), (reason,))

    _settle(registry, project, chosen, actor)
    return publish_endpoint(registry, artifacts, project)


def rollback(registry: Endpoints, artifacts: EndpointCopy, project: str, actor: str) -> Endpoint:
    """Roll back a running canary; when there is none, return to the previous champion.

    Raises
    ------
    IllegalMove
        When there is neither a challenger nor a previous champion.
    """

    def rolled_back(now: Endpoint) -> RolloutDecision:
        if now.challenger is not None:
            reason = f"challenger {now.challenger} rolled back by hand"
            return RolloutDecision("roll_back", "rolled_back", 0, _without_challenger(now), (reason,))
        if now.previous_champion is None:
            raise IllegalMove(
                f"{project} has no challenger and no previous champion to return to; promote a version by its number instead"
            )
        # The replaced champion is not kept as the previous one: a second rollback must not return to it.
        change = {"champion": now.previous_champion, "previous_champion": None}
        reason = f"version {now.champion} replaced by version {now.previous_champion} by hand"
        return RolloutDecision("roll_back", "rolled_back", 0, now.model_copy(update=change), (reason,))

    _settle(registry, project, rolled_back, actor)
    return publish_endpoint(registry, artifacts, project)


def publish_endpoint(registry: EndpointReader, artifacts: EndpointCopy, project: str) -> Endpoint:
    """Update the copy that serving reads to the registry's endpoint; returns the endpoint that the copy now holds.

    The copy is read before the registry, so it can only be older, and is replaced only while it is unchanged since. A writer
    that lost the race reads both again, so no revision overwrites a newer one. The copy is read again after a write, because
    the registry may have moved meanwhile.
    """
    key = serving_endpoint(project)
    for _ in range(_ATTEMPTS):
        copied, etag = _read(artifacts, key)
        endpoint = registry.endpoint(project)
        content = endpoint.model_dump_json(indent=2).encode()
        if endpoint.revision == 0 or copied == content:
            return endpoint
        with suppress(Conflict):
            artifacts.put_if_unchanged(key, content, etag, content_type="application/json")
    raise Conflict(f"{key} could not be updated: its endpoint moved each time")


def _read(store: ConditionalReader, key: str) -> tuple[bytes | None, str | None]:
    """Content and ETag, of which neither is when there is no object."""
    try:
        return store.get_if_changed(key, None) or (None, None)
    except NotFound:
        return None, None


def _settle(registry: Endpoints, project: str, choose: Callable[[Endpoint], RolloutDecision], actor: str) -> RolloutDecision:
    """Decide on the current endpoint and execute exactly that; decide again after a lost race."""
    for _ in range(_ATTEMPTS):
        before = registry.endpoint(project)
        decision = choose(before)
        if decision.endpoint is None or _moved(registry, before, decision, actor):
            return decision
    raise Conflict(f"the endpoint of {project} moved {_ATTEMPTS} times while this was decided")


def _moved(registry: EndpointMover, before: Endpoint, decision: RolloutDecision, actor: str) -> bool:
    """Move the endpoint if it is still the one that was decided on; False after a lost race."""
    overtaken = False

    def unless_overtaken(now: Endpoint) -> Endpoint | None:
        nonlocal overtaken
        overtaken = now.revision != before.revision
        return None if overtaken else decision.endpoint

    registry.move_endpoint(before.project, unless_overtaken, actor=actor, action=decision.action, reasons=decision.reasons)
    return not overtaken
