"""The lake's Delta tables. The Delta version is the data version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol


class TableWriter(Protocol):
    """Commits files to tables."""

    def append(
        self, table: str, parquet: Path, *, columns: dict[str, str], transaction: str, commit: dict[str, str]
    ) -> tuple[int, bool]:
        """Commit one Parquet file; ``(version, duplicate)``.

        ``columns`` maps column to its project type. ``transaction`` identifies the source object: a second append with the
        same one commits nothing and returns the version that holds it. ``commit`` is kept as commit metadata.
        """


class TableReader(Protocol):
    """Reads tables at a version."""

    def latest(self, table: str) -> int | None:
        """Latest version, None when the table does not exist."""

    def fetch(self, table: str, version: int, folder: Path) -> list[Path]:
        """The Parquet files of one version, downloaded into ``folder``, oldest commit first."""


class TableHistory(Protocol):
    """Lists the commits of a table."""

    def history(self, table: str) -> Sequence[dict[str, Any]]:
        """Commits, newest first: version, time, and the commit metadata given at append."""


class LakeTables(TableWriter, TableReader, TableHistory, Protocol):
    """All tables of one lake: everything an adapter implements."""
