"""The checkout's projects, held to everything that can be known of them without data, before anything is deployed.

A function reads definitions by their typed model alone; here, where the tools of every function are installed, the estimator is
built with each value of its search space, and rules, features SQL and target are bound to the declared columns.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from driftless.core.duckdb import engine
from driftless.data import features
from driftless.data.validation.checks import check_definition
from driftless.definition.loading import load_all
from driftless.definition.project import Project
from driftless.errors import BadProject
from driftless.training import estimators


def checked_projects(root: Path) -> dict[str, Project]:
    """Every project under a ``projects`` folder, by name.

    Raises
    ------
    driftless.errors.BadProject
        Naming file, key, reason and fix of the first mistake.
    driftless.errors.LeakageFound
        When features SQL reads a column that is known only after the event.
    """
    start = time.perf_counter()
    projects = load_all(root)
    if not projects:
        raise BadProject("projects/", "", "there is no project to deploy", "add a folder with project.toml and features.sql")
    for project in projects.values():
        _check(project)
    # On standard error: what a synth writes to standard output may be read by a program.
    print(f"projects: {', '.join(projects)}, checked in {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return projects


def _check(project: Project) -> None:
    for dataset in project.datasets:
        with TemporaryDirectory(prefix="rules-") as folder, engine(Path(folder)) as connection:
            check_definition(connection, project, dataset)
    features.check(project)
    estimators.check(project)
