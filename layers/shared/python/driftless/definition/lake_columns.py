"""The columns of a lake table: those of the dataset, and where each row came from."""

from __future__ import annotations

from driftless.definition.datasets import Dataset

SYSTEM_COLUMNS = {"_source": "string", "_source_row": "integer"}
"""Digest of the source object, and the one-based number of the row in it (of the line, in JSON)."""


def stored_columns(dataset: Dataset) -> dict[str, str]:
    """Column to project type, in the order of the staged file."""
    return {name: column.type for name, column in dataset.columns.items()} | SYSTEM_COLUMNS
