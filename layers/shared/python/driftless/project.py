"""The project definition: one typed model of ``project.toml``, used at synth and at run time.

A project is a folder ``projects/<name>/`` with ``project.toml`` and a features SQL file. Adding a model is adding a folder.
Every mistake raises :class:`~driftless.errors.BadProject` with the file, the line, the key, the reason and the fix.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, ValidationError, model_validator

from driftless.errors import BadProject
from driftless.project_file import describe, line_of, located

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
Task = Literal["binary", "multiclass", "regression"]
ColumnType = Literal["integer", "number", "string", "boolean", "timestamp"]
Level = Literal["warn", "quarantine", "fail"]
_SCHEDULE = re.compile(r"^(rate\([1-9]\d* (minute|minutes|hour|hours|day|days)\)|cron\(([^ ()]+ ){5}[^ ()]+\))$")

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
RESERVED_NAMES = frozenset({"docs", "health"})
HIGHER_IS_BETTER = frozenset({"auc", "average_precision", "accuracy", "f1_macro", "r2"})


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Section):
    """One column of a dataset. ``known = "after"`` marks what is only known once the event is over.

    ``range`` is inclusive and closed; null never violates ``range``, ``allowed`` or ``pattern`` (only ``nullable`` speaks
    of null). ``level`` is what happens to a row that breaks this column's constraints.
    """

    type: ColumnType
    nullable: bool = False
    range: tuple[float | None, float | None] | None = None
    allowed: tuple[str | int | bool, ...] | None = None
    pattern: str | None = None
    pii: bool = False
    known: Literal["before", "after"] = "before"
    level: Level = "quarantine"
    description: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Column:
        if self.range is not None:
            low, high = self.range
            if self.type not in ("integer", "number"):
                raise ValueError("range applies to integer and number columns only")
            if low is not None and high is not None and low > high:
                raise ValueError(f"range [{low}, {high}] is empty")
        if self.pattern is not None:
            if self.type != "string":
                raise ValueError("pattern applies to string columns only")
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"pattern is not a regular expression: {error}") from error
        return self


class Rule(_Section):
    """A named SQL predicate over one row that must hold; null counts as holding."""

    name: Identifier
    sql: str
    level: Level = "quarantine"


class Dataset(_Section):
    """One landing dataset: typed columns, key, event time and rules.

    A duplicate is a row whose ``key`` columns (null equal to null) all equal those of another row of the same file: the last
    good one counts, the others are quarantined. ``null_values`` are the texts that mean null in CSV files. ``max_quarantined``
    is the share (0 to 1) of quarantined rows above which the whole file is rejected. ``ahead_hours`` is how far an event time
    may lie after the moment of validation; what lies further ahead is taken for a typing error.
    """

    event_time: Identifier
    key: tuple[Identifier, ...] = Field(min_length=1)
    columns: dict[Identifier, Column] = Field(min_length=1)
    rules: tuple[Rule, ...] = ()
    null_values: tuple[str, ...] = ("",)
    max_quarantined: float = Field(default=0.1, ge=0, le=1)
    ahead_hours: float = Field(default=24, ge=0, le=876_000)
    description: str = ""

    @model_validator(mode="after")
    def _names_exist(self) -> Dataset:
        for name in (self.event_time, *self.key):
            if name not in self.columns:
                raise ValueError(f"column {name!r} is named as event_time or key but not defined under columns")
        if self.columns[self.event_time].type != "timestamp":
            raise ValueError(f"event_time column {self.event_time!r} must have type timestamp")
        return self


class FeatureColumn(_Section):
    """One model input, typed for the request schema. Categories are strings; null is allowed only when ``nullable``.

    ``reviewed`` is a person's reason why a column is honest although it looks like a leak: it silences the statistical evidence
    against that column, never the replay of history.
    """

    type: Literal["number", "integer", "category", "boolean"]
    nullable: bool = False
    range: tuple[float | None, float | None] | None = None
    allowed: tuple[str, ...] | None = None
    pii: bool = False
    reviewed: str = ""
    description: str = ""


class Features(_Section):
    """One SELECT that yields, for each row of ``base``, its key, its event time and the feature columns.

    ``base`` exposes only columns known before the event; a dataset with outcome columns is also visible in full as
    ``<dataset>_outcomes`` with a ``known_at`` timestamp, for as-of joins on the past.
    """

    sql: str = "features.sql"
    base: Name
    columns: dict[Identifier, FeatureColumn] = Field(min_length=1)


class Target(_Section):
    """What is predicted: a SQL expression over the base dataset; ``label_delay_hours`` after the event it is known."""

    name: Identifier
    expression: str
    label_delay_hours: float = Field(default=0, ge=0)
    classes: tuple[str, ...] | None = None

    @property
    def label_delay(self) -> timedelta:
        return timedelta(hours=self.label_delay_hours)


class Split(_Section):
    """By time (default): the last ``holdout_days`` of labelled rows judge, the ``train_days`` before them train."""

    by: Literal["time", "random"] = "time"
    holdout_days: float = Field(default=14, gt=0)
    train_days: float = Field(default=90, gt=0)
    minimum_train_rows: int = Field(default=200, ge=20)
    minimum_holdout_rows: int = Field(default=100, ge=10)
    holdout_fraction: float = Field(default=0.2, gt=0, lt=1)
    seed: int = 0


class Model(_Section):
    """A scikit-learn estimator by dotted path (allow-listed in training), fixed parameters and a search space.

    ``search`` maps a parameter to the values to try; ``candidates`` points are drawn from their product, the first being
    each parameter's first value. ``folds`` forward-in-time folds score each.
    """

    estimator: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    search: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    candidates: int = Field(default=4, ge=1, le=64)
    folds: int = Field(default=3, ge=2, le=10)
    seed: int = 0


class AbsoluteGate(_Section):
    """A bound on one hold-out metric, inclusive."""

    metric: str
    minimum: float | None = None
    maximum: float | None = None


class Gates(_Section):
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


class Serving(_Section):
    """How predictions are answered and how a new champion takes over.

    ``canary_steps`` are the shares of traffic (0 to 1) the challenger gets before all of it, each baked for
    ``bake_seconds``; an empty tuple promotes at once. ``approval = "manual"`` waits for ``driftless models promote``.
    """

    max_records: int = Field(default=100, ge=1, le=1000)
    rate_limit: float = Field(default=500, gt=0)
    burst_limit: int = Field(default=1000, gt=0)
    refresh_seconds: float = Field(default=5, ge=0)
    canary_steps: tuple[float, ...] = (0.1,)
    bake_seconds: int = Field(default=60, ge=0)
    max_error_rate: float = Field(default=0.01, ge=0, le=1)
    approval: Literal["auto", "manual"] = "auto"

    @model_validator(mode="after")
    def _ascending(self) -> Serving:
        if any(not 0 < step < 1 for step in self.canary_steps) or list(self.canary_steps) != sorted(self.canary_steps):
            raise ValueError("canary_steps must ascend strictly between 0 and 1, for example [0.1, 0.5]")
        return self


class Monitoring(_Section):
    """When a window counts as drifted (inputs moved) or harmed (the metric decayed), in event time.

    A signal is raised to its level only when ``persistence`` consecutive windows reach it. Harm is judged on the primary
    metric: alert when the lower confidence bound of (window minus reference), signed so that positive is worse,
    exceeds ``harm_margin``; warn when only the point estimate does.
    """

    schedule: str = "rate(1 hour)"
    window_days: float = Field(default=30, gt=0)
    minimum_predictions: int = Field(default=500, ge=1)
    minimum_labels: int = Field(default=200, ge=1)
    psi_warn: float = Field(default=0.1, gt=0)
    psi_alert: float = Field(default=0.25, gt=0)
    significance: float = Field(default=0.001, gt=0, lt=1)
    drifted_share: float = Field(default=0.3, gt=0, le=1)
    harm_margin: float = Field(default=0.02, ge=0)
    persistence: int = Field(default=1, ge=1)


class Retraining(_Section):
    """When the governor lets a retraining start.

    ``triggers`` are the signals that may ask for one. ``budget_runs`` executions at most in any ``budget_days``.
    """

    schedule: str = "rate(7 days)"
    triggers: tuple[Literal["schedule", "drift", "harm", "new_data"], ...] = ("schedule", "harm")
    cooldown_hours: float = Field(default=24, ge=0)
    budget_runs: int = Field(default=10, ge=1)
    budget_days: float = Field(default=30, gt=0)
    minimum_new_labels: int = Field(default=0, ge=0)


class Project(_Section):
    """A whole project definition; ``root`` is the folder it was read from."""

    name: Name
    title: str
    task: Task
    description: str = ""
    owner: str = ""
    license: str = ""
    intended_use: str = ""
    datasets: dict[Name, Dataset] = Field(min_length=1)
    features: Features
    target: Target
    split: Split = Split()
    model: Model
    gates: Gates
    serving: Serving = Serving()
    monitoring: Monitoring = Monitoring()
    retraining: Retraining = Retraining()

    _features_sql: str = PrivateAttr(default="")
    _definition: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _hangs_together(self) -> Project:
        if self.features.base not in self.datasets:
            known = ", ".join(self.datasets)
            raise located("features.base", f"names dataset {self.features.base!r}, which is not defined", f"write one of {known}")
        if self.target.name in self.features.columns:
            raise located("target.name", f"{self.target.name!r} is also a feature", "give the target another name")
        named = {"gates.primary": self.gates.primary}
        named |= {f"gates.absolute.{position}.metric": gate.metric for position, gate in enumerate(self.gates.absolute)}
        for key, metric in named.items():
            if self.task not in METRICS.get(metric, ()):
                known = ", ".join(sorted(m for m, tasks in METRICS.items() if self.task in tasks))
                raise located(key, f"metric {metric!r} does not exist for task {self.task}", f"write one of {known}")
        for key, columns in (("gates.slices", self.gates.slices), ("gates.protected", self.gates.protected)):
            for column in columns:
                if column not in self.features.columns:
                    raise located(key, f"column {column!r} is not a feature", "name columns of features.columns only")
        if self.task == "multiclass" and not self.target.classes:
            raise located("target.classes", "a multiclass task has no classes", 'list them, as in ["a", "b", "c"]')
        for section, schedule in (("monitoring", self.monitoring.schedule), ("retraining", self.retraining.schedule)):
            if not _SCHEDULE.match(schedule):
                fix = 'write an EventBridge schedule such as "rate(7 days)"'
                raise located(f"{section}.schedule", f"{schedule!r} is no schedule", fix)
        for name in self.datasets:
            if f"{name}_outcomes" in self.datasets:
                raise located(f"datasets.{name}_outcomes", "the name is that of a view", "give the dataset another name")
        return self

    @property
    def features_sql(self) -> str:
        """Text of the features SQL file."""
        return self._features_sql

    @property
    def features_digest(self) -> str:
        """sha256 over the features SQL and the project definition: what the training set depends on besides data."""
        return hashlib.sha256(f"{self._definition}\0{self._features_sql}".encode()).hexdigest()

    def wrong(self, key: str, reason: str, fix: str) -> BadProject:
        """A complaint about one key of this definition, for checks that need more than the definition itself."""
        return BadProject(f"projects/{self.name}/project.toml", key, reason, fix, line_of(self._definition, key))

    def table(self, dataset: str) -> str:
        """Prefix of a dataset's Delta table in the lake bucket."""
        return f"tables/{self.name}/{dataset}"


def load(folder: Path) -> Project:
    """Read and check one project folder.

    Raises
    ------
    BadProject
        Naming the file, the line, the key, the reason and the fix.
    """
    path = folder / "project.toml"
    shown = f"projects/{folder.name}/project.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BadProject(shown, "", "the file does not exist", "write it, or remove the folder") from error
    except UnicodeDecodeError as error:
        raise BadProject(shown, "", f"not UTF-8 text ({error.reason})", "save the file as UTF-8") from error
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        line = int(found.group(1)) if found else None
        raise BadProject(shown, "", f"not valid TOML: {error}", "correct the syntax at that line", line) from error
    try:
        project = Project.model_validate(raw)
    except ValidationError as error:
        key, reason, fix = describe(error)
        raise BadProject(shown, key, reason, fix, line_of(text, key)) from error
    if project.name in RESERVED_NAMES:
        raise BadProject(
            shown, "name", f"{project.name!r} is a route of the API itself", "choose another name", line_of(text, "name")
        )
    if project.name != folder.name:
        fix = f'write name = "{folder.name}" or rename the folder'
        raise BadProject(shown, "name", f"{project.name!r} differs from its folder", fix, line_of(text, "name"))
    sql = folder / project.features.sql
    if sql.parent != folder or not sql.is_file():
        fix = "put the SQL file beside project.toml"
        raise BadProject(shown, "features.sql", f"{sql.name} does not exist", fix, line_of(text, "features.sql"))
    project._features_sql = sql.read_text(encoding="utf-8")
    project._definition = text
    return project


def load_all(root: Path | None = None) -> dict[str, Project]:
    """Read every project folder, by name.

    Parameters
    ----------
    root : Path, optional
        The ``projects`` folder; by default the one on the import path (in a function, its layer).
    """
    base = root if root is not None else default_root()
    folders = sorted(entry for entry in base.iterdir() if entry.is_dir() and not entry.name.startswith((".", "_")))
    return {folder.name: load(folder) for folder in folders}


def default_root() -> Path:
    """The ``projects`` folder on the import path, a namespace package in functions and in the checkout alike."""
    try:
        for entry in importlib.resources.files("projects").iterdir():
            return Path(str(entry)).parent
    except ModuleNotFoundError as error:
        fix = "run from the checkout, or attach the projects layer"
        raise BadProject("projects/", "", "no projects folder on the import path", fix) from error
    raise BadProject("projects/", "", "the projects folder is empty", "add a project folder")
