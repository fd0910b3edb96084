"""Rows of the table, and how they are printed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One measurement; ``beside`` says in words what ``other`` is, both in ``unit``."""

    section: str
    what: str
    value: float
    unit: str
    beside: str = ""
    other: float | None = None

    @property
    def ratio(self) -> float | None:
        """Measured over the figure beside it."""
        return self.value / self.other if self.other else None


def show(rows: Sequence[Row]) -> None:
    """Print all rows as one table."""
    table = Table(title="Driftless bench", title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name, justify in (
        ("", "left"),
        ("what", "left"),
        ("measured", "right"),
        ("unit", "left"),
        ("beside it", "left"),
        ("", "right"),
        ("ratio", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    section = ""
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        other = "" if row.other is None else _number(row.other)
        table.add_row(
            row.section if row.section != section else "", row.what, _number(row.value), row.unit, row.beside, other, ratio
        )
        section = row.section
    Console(width=150).print(table)


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call in seconds, after one call that warms it up."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
