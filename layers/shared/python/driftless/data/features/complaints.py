"""What is wrong with a project's features SQL: where, why, and what to write instead. Personal values are never quoted."""

from __future__ import annotations

import re

import duckdb

from driftless.core.duckdb import first_line
from driftless.data.features.tables import outcome_columns
from driftless.definition.project import Project
from driftless.errors import BadProject, LeakageFound


def quotes_a_person(project: Project, error: duckdb.Error) -> bool:
    """Whether an error may hold a personal value: those raised while rows are read quote the value they stopped at."""
    if isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException):
        return False
    stored = any(column.pii for dataset in project.datasets.values() for column in dataset.columns.values())
    return stored or any(column.pii for column in project.features.columns.values())


def said(project: Project, error: duckdb.Error) -> str:
    """What the engine says, without the value it stopped at when that may be personal."""
    said = first_line(error)
    return re.sub(r"""(['"]).*\1|\d[-+.:\d]*""", "…", said) if quotes_a_person(project, error) else said


def sql_error(project: Project, reason: str, fix: str, line: int | None = None, key: str = "") -> BadProject:
    """A complaint about the features SQL as a whole, or about one line of it."""
    return BadProject(f"projects/{project.name}/{project.features.sql}", key, reason, fix, line)


def column_error(project: Project, name: str, reason: str, fix: str) -> BadProject:
    """A complaint about a selected column, with the line that gives it its name, or the first that mentions it."""
    code = [text.partition("--")[0] for text in project.features_sql.splitlines()]
    lines = (
        number
        for pattern in (rf"\bAS\s+\"?{re.escape(name)}\b", rf"\b{re.escape(name)}\b")
        for number, text in enumerate(code, start=1)
        if re.search(pattern, text, re.IGNORECASE)
    )
    return sql_error(project, reason, fix, next(lines, None), key=name)


def complaint(project: Project, error: duckdb.Error, lines_before: int = 0) -> BadProject | LeakageFound:
    """What an error of the engine means; ``lines_before`` is how many lines precede the project's SQL in the statement."""
    reason = said(project, error)
    for name, dataset in project.datasets.items():
        for column in outcome_columns(dataset):
            if isinstance(error, duckdb.BinderException) and re.search(rf'["\.]{re.escape(column)}"', reason):
                return LeakageFound(
                    f"projects/{project.name}/{project.features.sql} reads {name}.{column}, which is known only after the event. "
                    f"Fix: leave it out, or join {name}_outcomes on earlier rows with known_at <= the event's time"
                )
    found = re.search(r"LINE (\d+):", str(error))
    line = max(1, int(found.group(1)) - lines_before) if found else None
    return sql_error(project, reason, "correct the SELECT; datasets are visible by their names", line)
