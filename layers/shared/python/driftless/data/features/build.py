"""A feature table from local Parquet files, for a laptop, a demo or a check of the definition.

Needs nothing but the files and the project definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from driftless.core.duckdb import engine, quoted
from driftless.data.features.compute import compute
from driftless.data.features.tables import load, load_nothing
from driftless.data.features.target import add_target
from driftless.definition.project import Project


class FeatureTable:
    """Computed rows: key, event time, features and target, one row per row of the base dataset, in order of event time and key.

    The target is null where the label is unknown at ``as_of`` or was never observed. Times are naive UTC.
    """

    def __init__(self, connection: Any, columns: Sequence[str]) -> None:
        self._connection = connection
        self.columns = list(columns)

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM labelled").fetchone()[0])

    def rows(self, where: str = "true", parameters: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """Rows as dictionaries, filtered by a SQL predicate over the columns."""
        wanted = ", ".join(quoted(name) for name in self.columns)
        found = self._connection.execute(f"SELECT {wanted} FROM labelled WHERE {where} ORDER BY _position", list(parameters))
        while batch := found.fetchmany(1000):
            for row in batch:
                yield dict(zip(self.columns, row, strict=True))


@contextmanager
def build(project: Project, files: Mapping[str, Sequence[Path]], as_of: datetime | None = None) -> Iterator[FeatureTable]:
    """Compute features and labels from local Parquet files.

    Parameters
    ----------
    project : Project
        The definition.
    files : mapping of str to sequence of Path
        Parquet files per dataset, oldest commit first: of rows with the same key the last one counts.
    as_of : datetime, optional
        The moment to judge from (UTC): labels known later are null. By default the latest event of the base dataset, or now
        where that lies in the future.

    Raises
    ------
    BadProject
        When the SQL is wrong, does not yield one row per row of the base dataset, or differs from the declared columns.
    LeakageFound
        When it reads a column that is known only after the event.
    """
    with TemporaryDirectory(prefix="features-") as folder, engine(Path(folder)) as connection:
        load(connection, project, files)
        compute(connection, project)
        columns = add_target(connection, project, as_of)
        yield FeatureTable(connection, columns)


def check(project: Project) -> None:
    """Bind the features SQL and the target's expression to the declared columns, without any data.

    What depends on values (rows that come twice, ranges, nulls) shows when a training set is made.

    Raises
    ------
    BadProject, LeakageFound
        As of :func:`build`.
    """
    with TemporaryDirectory(prefix="features-") as folder, engine(Path(folder)) as connection:
        load_nothing(connection, project)
        compute(connection, project)
        add_target(connection, project)
