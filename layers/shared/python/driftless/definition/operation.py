"""How a model is operated: serving, monitoring, and when it is trained again."""

from __future__ import annotations

import itertools
from typing import Literal

from pydantic import Field, model_validator

from driftless.definition.complaints import located
from driftless.definition.section import Days, Hours, Schedule, Section

ROLLOUT_SECONDS = 86_400
"""Longest baking of a rollout, all steps together: an execution of the pipeline ends after 25 hours."""


class Serving(Section):
    """Settings of the prediction API and of the rollout of a new champion.

    ``canary_steps`` are the shares of traffic (0 to 1, strictly increasing) the challenger gets before all of it, each baked for
    ``bake_seconds``; an empty tuple promotes at once. A step in which it received no prediction request is baked ``quiet_bakes``
    more times before it counts as passed; with them all steps take a day at most. Five minutes are the default because metrics
    need one or two to arrive. ``approval = "manual"`` waits for ``driftless models promote``.
    """

    max_records: int = Field(default=100, ge=1, le=1000)
    rate_limit: float = Field(default=500, gt=0)
    burst_limit: int = Field(default=1000, gt=0)
    refresh_seconds: float = Field(default=5, ge=0)
    canary_steps: tuple[float, ...] = (0.1,)
    bake_seconds: int = Field(default=300, ge=0)
    quiet_bakes: int = Field(default=3, ge=0, le=100)
    max_error_rate: float = Field(default=0.01, ge=0, le=1)
    approval: Literal["auto", "manual"] = "auto"

    @model_validator(mode="after")
    def _consistent(self) -> Serving:
        steps = self.canary_steps
        if any(not 0 < step < 1 for step in steps) or any(later <= step for step, later in itertools.pairwise(steps)):
            reason = f"steps must lie between 0 and 1 and each be larger than the one before (got {list(steps)})"
            raise located("canary_steps", reason, "write growing shares, for example [0.1, 0.5]")
        bakes = len(steps) * (1 + self.quiet_bakes)
        if bakes * self.bake_seconds > ROLLOUT_SECONDS:
            longest = f"{len(steps)} steps of {self.bake_seconds} s, each {self.quiet_bakes} times more without traffic"
            fix = "bake for less time, in fewer steps, or with fewer quiet_bakes"
            raise located("bake_seconds", f"{longest}, are longer than a day, the most a rollout may take", fix)
        return self


class Monitoring(Section):
    """When a window counts as drifted (inputs moved) or harmed (the metric decayed), in event time.

    A signal is raised to its level only when ``persistence`` consecutive windows reach it. Harm is judged on the primary
    metric: alert when the lower confidence bound of (window minus reference), signed so that positive is worse,
    exceeds ``harm_margin``; warn when only the point estimate does.
    """

    schedule: Schedule = "rate(1 hour)"
    window_days: Days = 30
    minimum_predictions: int = Field(default=500, ge=1)
    minimum_labels: int = Field(default=200, ge=1)
    psi_warn: float = Field(default=0.1, gt=0)
    psi_alert: float = Field(default=0.25, gt=0)
    significance: float = Field(default=0.001, gt=0, lt=1)
    drifted_share: float = Field(default=0.3, gt=0, le=1)
    harm_margin: float = Field(default=0.02, ge=0)
    persistence: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Monitoring:
        if self.psi_warn > self.psi_alert:
            reason = f"{self.psi_warn:g} is above psi_alert, {self.psi_alert:g}"
            raise located("psi_warn", reason, "warn at a smaller value than the alert's")
        return self


class Retraining(Section):
    """When the governor starts a retraining.

    ``triggers`` are the signals that may request one. ``budget_runs`` executions at most in any ``budget_days``.
    """

    schedule: Schedule = "rate(7 days)"
    triggers: tuple[Literal["schedule", "drift", "harm"], ...] = ("schedule", "harm")
    cooldown_hours: Hours = 24
    budget_runs: int = Field(default=10, ge=1)
    budget_days: Days = 30
    minimum_new_labels: int = Field(default=0, ge=0)
