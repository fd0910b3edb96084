"""What pydantic's types cannot say of ``project.toml``: sections that contradict themselves or each other.

Each check raises a complaint that knows its key (relative to the section it is given), the reason and the fix.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from driftless.project_file import located

if TYPE_CHECKING:
    from driftless.project import AbsoluteGate, Column, Dataset, FeatureColumn, Monitoring, Project, Serving

ROLLOUT_SECONDS = 86_400
"""Longest baking of a rollout, all steps together: an execution of the pipeline ends after 25 hours."""
_ALLOWED_KINDS: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int,), "boolean": (bool,)}
_STORED = frozenset({"_source", "_source_row", "_file", "_row", "_path", "filename", "file_row_number"})
_COMPUTED = frozenset({"_position", "_observable", "_target", "_part", "_count", "parity_challenge"})
_RATE = re.compile(r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)")
_CRON = re.compile(r"cron\(([^ ()]+) ([^ ()]+) ([^ ()]+) ([^ ()]+) ([^ ()]+) ([^ ()]+)\)")
_CRON_FIELDS = (
    ("minutes", 0, 59, ""),
    ("hours", 0, 23, ""),
    ("day of month", 1, 31, "L|W|LW|\\?"),
    ("month", 1, 12, "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"),
    ("day of week", 1, 7, "SUN|MON|TUE|WED|THU|FRI|SAT|L|\\?"),
    ("year", 1970, 2199, ""),
)


def check_column(column: Column) -> None:
    """A dataset's column: range, allowed values and pattern fit its type."""
    _check_range(column.range, column.type)
    if column.allowed is not None:
        kinds = _ALLOWED_KINDS.get(column.type, ())
        strangers = [value for value in column.allowed if type(value) not in kinds]
        if not column.allowed or strangers or not kinds:
            reason = f"{strangers[0]!r} is no {column.type}" if strangers and kinds else "no value would be allowed"
            if not kinds:
                reason = f"a {column.type} column cannot list its values"
            raise located("allowed", reason, f"list values of type {column.type}, or remove allowed")
    if column.pattern is not None:
        if column.type != "string":
            raise located("pattern", "pattern applies to string columns only", "remove it")
        try:
            re.compile(column.pattern)
        except re.error as error:
            raise located(
                "pattern", f"not a regular expression: {error}", "correct it, in single quotes to spare backslashes"
            ) from error


def check_feature(column: FeatureColumn) -> None:
    """A model input: range and allowed values fit its type."""
    _check_range(column.range, column.type)
    if column.allowed is not None and (column.type != "category" or not column.allowed):
        reason = "no value would be allowed" if column.type == "category" else f"a {column.type} feature has no categories"
        raise located("allowed", reason, "list at least one category, or remove allowed")


def check_dataset(dataset: Dataset) -> None:
    """A dataset's key and event time exist and are known before the event; names do not collide."""
    for key, names in (("event_time", (dataset.event_time,)), ("key", dataset.key)):
        for name in names:
            if name not in dataset.columns:
                known = ", ".join(dataset.columns)
                raise located(key, f"column {name!r} is not defined under columns", f"define it, or write one of {known}")
            if dataset.columns[name].known == "after":
                fix = "choose a column that is known before the event"
                raise located(key, f"column {name!r} is marked as known only after the event", fix)
    if dataset.columns[dataset.event_time].type != "timestamp":
        raise located("event_time", f"column {dataset.event_time!r} must have type timestamp", "change its type, or name another")
    if dataset.ttl_hours is not None and dataset.event_time not in dataset.key:
        reason = f"the key lacks {dataset.event_time!r}: of an entity there is one row, which no other can follow"
        raise located("ttl_hours", reason, "add the event time to key, or remove ttl_hours")
    outcomes = any(column.known == "after" for column in dataset.columns.values())
    reserved = _STORED | _COMPUTED | ({"known_at"} if outcomes else set())
    _check_names("columns", dataset.columns, reserved)
    names_of_rules = [rule.name for rule in dataset.rules]
    for position, name in enumerate(names_of_rules):
        if name in names_of_rules[:position]:
            raise located(f"rules.{position}.name", f"{name!r} names an earlier rule too", "give each rule a name of its own")


def check_gate(gate: AbsoluteGate) -> None:
    """An absolute gate has a bound, and its bounds leave room."""
    if gate.minimum is None and gate.maximum is None:
        raise located("metric", f"the gate on {gate.metric!r} has no bound", "add minimum or maximum")
    if gate.minimum is not None and gate.maximum is not None and gate.minimum > gate.maximum:
        raise located("minimum", f"{gate.minimum:g} is above the maximum {gate.maximum:g}", "swap them")


def check_serving(serving: Serving) -> None:
    """Canary steps grow, and are over before the execution that takes them ends."""
    steps = serving.canary_steps
    if any(not 0 < step < 1 for step in steps) or any(later <= step for step, later in itertools.pairwise(steps)):
        reason = f"steps must lie between 0 and 1 and each be larger than the one before (got {list(steps)})"
        raise located("canary_steps", reason, "write growing shares, for example [0.1, 0.5]")
    bakes = len(steps) * (1 + serving.quiet_bakes)
    if bakes * serving.bake_seconds > ROLLOUT_SECONDS:
        longest = f"{len(steps)} steps of {serving.bake_seconds} s, each {serving.quiet_bakes} times more without traffic"
        fix = "bake for less time, in fewer steps, or with fewer quiet_bakes"
        raise located("bake_seconds", f"{longest}, are longer than a day, the most a rollout may take", fix)


def check_monitoring(monitoring: Monitoring) -> None:
    """A warning comes before an alert."""
    if monitoring.psi_warn > monitoring.psi_alert:
        reason = f"{monitoring.psi_warn:g} is above psi_alert, {monitoring.psi_alert:g}"
        raise located("psi_warn", reason, "warn at a smaller value than the alert's")


def check_schedule(schedule: str) -> None:
    """A schedule EventBridge takes: ``rate(…)`` or ``cron(…)`` of six fields, in UTC."""
    fix = 'write an EventBridge schedule such as "rate(1 day)", "rate(7 days)" or "cron(0 6 ? * MON *)"'
    if _RATE.fullmatch(schedule):
        return
    found = _CRON.fullmatch(schedule)
    if found is None:
        raise located("schedule", f"{schedule!r} is no schedule", fix)
    for text, (name, low, high, words) in zip(found.groups(), _CRON_FIELDS, strict=True):
        for part in re.split(r"[,/#-]", text):
            number = re.fullmatch(r"(\d+)[LW]?", part)
            if not (number and low <= int(number.group(1)) <= high) and part != "*" and not re.fullmatch(words or "(?!)", part):
                raise located("schedule", f"{schedule!r} has {part!r} as {name}, which goes from {low} to {high}", fix)
    if (found.group(3) == "?") == (found.group(5) == "?"):
        raise located("schedule", f"{schedule!r} must have ? as day of month or as day of week, and not as both", fix)


def check_project(project: Project, metrics: Mapping[str, Sequence[str]]) -> None:
    """Sections agree with each other; ``metrics`` maps a metric to the tasks it exists for."""
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
        if project.task not in metrics.get(metric, ()):
            known = ", ".join(sorted(m for m, tasks in metrics.items() if project.task in tasks))
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
    _check_names("features.columns", project.features.columns, _COMPUTED)
    taken = {name.lower(): "a feature" for name in project.features.columns}
    taken |= {name.lower(): "the key or the event time of the base dataset" for name in (*base.key, base.event_time)}
    taken |= dict.fromkeys(_COMPUTED, "a name of the platform's own")
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


def _check_range(bounds: tuple[float | None, float | None] | None, kind: str) -> None:
    if bounds is None:
        return
    low, high = bounds
    if kind not in ("integer", "number"):
        raise located("range", "range applies to type integer and number only", "remove it")
    if low is not None and high is not None and low > high:
        raise located("range", f"[{low:g}, {high:g}] is empty", "write the smaller bound first")


def _check_names(key: str, names: Iterable[str], reserved: frozenset[str] | set[str]) -> None:
    """Names are not the platform's own, and differ by more than case, which SQL ignores."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in reserved:
            raise located(f"{key}.{name}", f"{name!r} is a name of the platform's own", "give the column another name")
        if name.lower() in seen:
            raise located(f"{key}.{name}", f"SQL cannot tell it from {seen[name.lower()]!r}", "give the column another name")
        seen[name.lower()] = name
