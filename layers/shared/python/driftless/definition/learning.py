"""How a model is trained and judged: the split, the estimator with its search space, and the gates."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from driftless.definition.complaints import located
from driftless.definition.section import Days, Identifier, Section, Task

METRICS: dict[str, tuple[Task, ...]] = {
    "log_loss": ("binary", "multiclass"),
    "brier": ("binary",),
    "auc": ("binary",),
    "average_precision": ("binary",),
    "calibration_error": ("binary",),
    "accuracy": ("binary", "multiclass"),
    "f1_macro": ("binary", "multiclass"),
    "mae": ("regression",),
    "rmse": ("regression",),
    "r2": ("regression",),
}
HIGHER_IS_BETTER = frozenset({"auc", "average_precision", "accuracy", "f1_macro", "r2"})


class Split(Section):
    """By time (default): the last ``holdout_days`` of labelled rows judge, the ``train_days`` before them train."""

    by: Literal["time", "random"] = "time"
    holdout_days: Days = 14
    train_days: Days = 90
    minimum_train_rows: int = Field(default=200, ge=20)
    minimum_holdout_rows: int = Field(default=100, ge=10)
    holdout_fraction: float = Field(default=0.2, gt=0, lt=1)
    seed: int = 0


class Model(Section):
    """A scikit-learn estimator by dotted path (allow-listed in training), fixed parameters and a search space.

    ``search`` maps a parameter to the values to try; ``candidates`` points are drawn from their product, the first being
    each parameter's first value. ``folds`` forward-in-time folds score each.
    """

    estimator: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    search: dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(default_factory=dict)
    candidates: int = Field(default=4, ge=1, le=64)
    folds: int = Field(default=3, ge=2, le=10)
    seed: int = 0


class AbsoluteGate(Section):
    """A bound on one hold-out metric, inclusive."""

    metric: str
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> AbsoluteGate:
        if self.minimum is None and self.maximum is None:
            raise located("metric", f"the gate on {self.metric!r} has no bound", "add minimum or maximum")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise located("minimum", f"{self.minimum:g} is above the maximum {self.maximum:g}", "swap them")
        return self


class Gates(Section):
    """When a challenger may be promoted.

    The challenger must beat the naive predictor by the estimate, keep each absolute bound, and beat the champion: the confidence
    interval of the primary metric's difference (block bootstrap over ``block``) must lie wholly on the better side of ``margin``.
    No slice may be worse than the champion by more than ``slice_margin`` of the primary metric with confidence.
    """

    primary: str
    absolute: tuple[AbsoluteGate, ...] = ()
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    margin: float = Field(default=0.0, ge=0)
    block: Literal["day", "row"] = "day"
    resamples: int = Field(default=1000, ge=100)
    slices: tuple[Identifier, ...] = ()
    slice_minimum_rows: int = Field(default=200, ge=1)
    slice_margin: float = Field(default=0.05, ge=0)
    protected: tuple[Identifier, ...] = ()
