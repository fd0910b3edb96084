"""The project definition as one typed model: every section, and how the sections agree with each other.

A project is a folder ``projects/<name>/`` with ``project.toml`` and a features SQL file. Adding a model is adding a folder.
"""

from __future__ import annotations

import hashlib

from pydantic import Field, PrivateAttr, model_validator

from driftless.core.layout.lake import table_folder
from driftless.definition.complaints import line_of, located
from driftless.definition.datasets import Dataset
from driftless.definition.features import Features, Target
from driftless.definition.learning import METRICS, Gates, Model, Split
from driftless.definition.operation import Monitoring, Retraining, Serving
from driftless.definition.section import COMPUTED_NAMES, Name, Section, Task, check_names
from driftless.errors import BadProject


class Project(Section):
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
    def _consistent(self) -> Project:
        _check_sections(self)
        return self

    def read_from(self, definition: str, features_sql: str) -> None:
        """Remember the texts this definition was read from."""
        self._definition, self._features_sql = definition, features_sql

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
        """Folder of a dataset's Delta table in the lake bucket."""
        return table_folder(self.name, dataset)


def _check_sections(project: Project) -> None:
    """Sections agree with each other."""
    base = project.datasets.get(project.features.base)
    if base is not None and base.ttl_hours is not None:
        reason = "rows of the base dataset are predicted, not joined as of"
        raise located(f"datasets.{project.features.base}.ttl_hours", reason, "remove it, or set it for what is joined")
    if project.features.base not in project.datasets:
        known = ", ".join(project.datasets)
        raise located("features.base", f"names dataset {project.features.base!r}, which is not defined", f"write one of {known}")
    named = {"gates.primary": project.gates.primary}
    named |= {f"gates.absolute.{position}.metric": gate.metric for position, gate in enumerate(project.gates.absolute)}
    for key, metric in named.items():
        if project.task not in METRICS.get(metric, ()):
            known = ", ".join(sorted(m for m, tasks in METRICS.items() if project.task in tasks))
            raise located(key, f"metric {metric!r} does not exist for task {project.task}", f"write one of {known}")
    for key, columns in (("gates.slices", project.gates.slices), ("gates.protected", project.gates.protected)):
        for column in columns:
            if column not in project.features.columns:
                raise located(key, f"column {column!r} is not a feature", "name columns of features.columns only")
    for name in project.datasets:
        if f"{name}_outcomes" in project.datasets:
            raise located(f"datasets.{name}_outcomes", "the name is that of a view", "give the dataset another name")
    _check_target(project)
    _check_personal(project)


def _check_personal(project: Project) -> None:
    """Values of personal columns stay out of models, cards and reports, which are kept for good.

    A category becomes part of the fitted model and a slice's name is the value it holds, so both are limited to what the
    definition itself lists.
    """
    tagged = {name.lower() for dataset in project.datasets.values() for name, column in dataset.columns.items() if column.pii}
    for name, feature in project.features.columns.items():
        if name.lower() in tagged and not feature.pii:
            reason = f"column {name!r} is personal in its dataset, but not as a feature"
            raise located(f"features.columns.{name}.pii", reason, "add pii = true, or name what the SQL makes of it differently")
        if feature.pii and feature.type == "category" and feature.allowed is None:
            reason = "the values of a personal category would be written into the model's files"
            raise located(f"features.columns.{name}.allowed", reason, "list every value there may be, or leave the feature out")
    for key, columns in (("gates.slices", project.gates.slices), ("gates.protected", project.gates.protected)):
        for name in columns:
            feature = project.features.columns[name]
            if feature.pii and feature.type in ("number", "integer"):
                reason = f"{name!r} is personal, and reports name its groups by their values"
                raise located(key, reason, "make a category with allowed values of it in the SQL, or leave it out")


def _check_target(project: Project) -> None:
    target, base = project.target, project.datasets[project.features.base]
    check_names("features.columns", project.features.columns, COMPUTED_NAMES)
    taken = {name.lower(): "a feature" for name in project.features.columns}
    taken |= {name.lower(): "the key or the event time of the base dataset" for name in (*base.key, base.event_time)}
    taken |= dict.fromkeys(COMPUTED_NAMES, "a name of the platform's own")
    if target.name.lower() in taken:
        raise located("target.name", f"{target.name!r} is also {taken[target.name.lower()]}", "give the target another name")
    if project.task != "multiclass":
        if target.classes is not None:
            raise located("target.classes", f"a {project.task} task has no classes to list", "remove it")
        return
    classes = target.classes or ()
    if len(set(classes)) < 2 or len(set(classes)) != len(classes):
        reason = (
            "a class is listed twice" if len(set(classes)) != len(classes) else "a multiclass task needs at least two classes"
        )
        raise located("target.classes", reason, 'list each class once, as in ["a", "b", "c"]')
