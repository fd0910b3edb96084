"""Keys of the landing bucket: ``<project>/<dataset>/<file>``."""

from __future__ import annotations

from typing import NamedTuple


class Landed(NamedTuple):
    """The parts of a landed file's key; those that the key lacks are empty."""

    project: str
    dataset: str
    file: str


def landing_key(project: str, dataset: str, file: str) -> str:
    """Key under which a file is sent to a dataset."""
    return f"{project}/{dataset}/{file}"


def parse_landing_key(key: str) -> Landed:
    """Split a key; ``file`` is everything after the second slash."""
    project, dataset, file = [*key.split("/", 2), "", ""][:3]
    return Landed(project, dataset, file)
