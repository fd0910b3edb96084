"""The project definition: one typed model of ``project.toml``, used at synth and at run time.

A project is a folder ``projects/<name>/`` with ``project.toml`` and a features SQL file. Adding a model is adding a folder.
Every mistake raises :class:`~driftless.errors.BadProject` with the file, the line, the key, the reason and the fix.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from driftless.errors import BadProject, NotFound
from driftless.project_checks import (
    check_column,
    check_dataset,
    check_feature,
    check_gate,
    check_monitoring,
    check_project,
    check_schedule,
    check_serving,
)
from driftless.project_file import describe, line_of


def _schedule(text: str) -> str:
    check_schedule(text)
    return text


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
Task = Literal["binary", "multiclass", "regression"]
ColumnType = Literal["integer", "number", "string", "boolean", "timestamp"]
Level = Literal["warn", "quarantine", "fail"]
Sql = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Days = Annotated[float, Field(gt=0, le=36_500)]
Hours = Annotated[float, Field(ge=0, le=876_000)]
Schedule = Annotated[str, AfterValidator(_schedule)]

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
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, field: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(field.field_name)].annotation in (int, float):
            raise ValueError(f"{str(value).lower()} is no number")
        return value


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
        check_column(self)
        return self


class Rule(_Section):
    """A named SQL predicate over one row that must hold; null counts as holding."""

    name: Identifier
    sql: Sql
    level: Level = "quarantine"


class Dataset(_Section):
    """One landing dataset: typed columns, key, event time and rules.

    A duplicate is a row whose ``key`` columns (null equal to null) all equal those of another row of the same file: the last
    good one counts, the others are quarantined. ``null_values`` are the texts that mean null in CSV files. ``max_quarantined``
    is the share (0 to 1) of quarantined rows above which the whole file is rejected. ``ahead_hours`` is how far an event time
    may lie after the moment of validation; further ahead is a typing error. After ``ttl_hours`` a row is no longer joined as of.
    """

    event_time: Identifier
    key: tuple[Identifier, ...] = Field(min_length=1)
    columns: dict[Identifier, Column] = Field(min_length=1)
    rules: tuple[Rule, ...] = ()
    null_values: tuple[str, ...] = ("",)
    max_quarantined: float = Field(default=0.1, ge=0, le=1)
    ahead_hours: float = Field(default=24, ge=0, le=876_000)
    ttl_hours: float | None = Field(default=None, gt=0, le=876_000)
    description: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Dataset:
        check_dataset(self)
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

    @model_validator(mode="after")
    def _consistent(self) -> FeatureColumn:
        check_feature(self)
        return self


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
    expression: Sql
    label_delay_hours: Hours = 0
    classes: tuple[str, ...] | None = None

    @property
    def label_delay(self) -> timedelta:
        return timedelta(hours=self.label_delay_hours)


class Split(_Section):
    """By time (default): the last ``holdout_days`` of labelled rows judge, the ``train_days`` before them train."""

    by: Literal["time", "random"] = "time"
    holdout_days: Days = 14
    train_days: Days = 90
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
    search: dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(default_factory=dict)
    candidates: int = Field(default=4, ge=1, le=64)
    folds: int = Field(default=3, ge=2, le=10)
    seed: int = 0


class AbsoluteGate(_Section):
    """A bound on one hold-out metric, inclusive."""

    metric: str
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> AbsoluteGate:
        check_gate(self)
        return self


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

    ``canary_steps`` are the shares of traffic (0 to 1, strictly increasing) the challenger gets before all of it, each baked for
    ``bake_seconds``; an empty tuple promotes at once. A step in which it was asked for no prediction is baked ``quiet_bakes``
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
        check_serving(self)
        return self


class Monitoring(_Section):
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
        check_monitoring(self)
        return self


class Retraining(_Section):
    """When the governor lets a retraining start.

    ``triggers`` are the signals that may ask for one. ``budget_runs`` executions at most in any ``budget_days``.
    """

    schedule: Schedule = "rate(7 days)"
    triggers: tuple[Literal["schedule", "drift", "harm"], ...] = ("schedule", "harm")
    cooldown_hours: Hours = 24
    budget_runs: int = Field(default=10, ge=1)
    budget_days: Days = 30
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
        check_project(self, METRICS)
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
    shown = f"projects/{folder.name}/project.toml"
    if folder.is_symlink():
        raise BadProject(
            f"projects/{folder.name}", "", "a link, which the projects layer does not follow", "put the folder itself there"
        )
    text = _read(folder / "project.toml", shown)
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
    name = project.features.sql
    if Path(name).name != name or not (folder / name).is_file():
        reason, fix = f"{name!r} is no file beside project.toml", "put the SQL file there, and write its name alone"
        raise BadProject(shown, "features.sql", reason, fix, line_of(text, "features.sql"))
    project._features_sql = _read(folder / name, f"projects/{folder.name}/{name}")
    project._definition = text
    return project


def named(projects: Mapping[str, Project], name: str) -> Project:
    """One of the deployed projects.

    Raises
    ------
    NotFound
        When there is none of that name, telling those there are.
    """
    if name not in projects:
        raise NotFound(f"no project {name!r}; known: {', '.join(sorted(projects)) or 'none'}")
    return projects[name]


def _read(path: Path, shown: str) -> str:
    """A file as text; the mark some editors put before UTF-8 is no part of it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadProject(shown, "", "the file does not exist", "write it, or remove the folder") from error
    except UnicodeDecodeError as error:
        raise BadProject(shown, "", f"not UTF-8 text ({error.reason})", "save the file as UTF-8") from error
    except OSError as error:
        raise BadProject(shown, "", f"cannot be read: {error.strerror}", "make it a file that you may read") from error


def load_all(root: Path | None = None) -> dict[str, Project]:
    """Read every project folder, by name.

    Parameters
    ----------
    root : Path, optional
        The ``projects`` folder; by default the one on the import path (in a function, its layer).
    """
    base = root if root is not None else default_root()
    if not base.is_dir():
        raise BadProject("projects/", "", "there is no such folder", "make it, with a folder for each project")
    entries = (entry for entry in base.iterdir() if not entry.name.startswith((".", "_")))
    folders = sorted(entry for entry in entries if entry.is_dir() or entry.is_symlink())
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
