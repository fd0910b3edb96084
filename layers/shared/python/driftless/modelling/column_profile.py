"""Column profiles: the distribution of each column at training, with which monitoring compares later windows.

A number is a histogram with at most 256 bins, whose edges come from the training rows. The first bin is below the smallest
training value, the last above the largest, and a column with few distinct values has one bin for each. Constant and
near-constant columns are flagged with their dominant value: quantile bins cannot show their drift, so monitoring has a detector
for them. Columns tagged as personal data keep only counts of rows and nulls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from driftless.modelling.metrics import class_name
from driftless.records import Record

BINS = 256
CATEGORIES = 500
NEAR_CONSTANT = 0.99


class NumberProfile(Record):
    """A numeric column.

    ``counts[i]`` are the values in ``(edges[i-1], edges[i]]``; ``counts[0]`` lies below the smallest training value and
    ``counts[-1]`` above the largest, so there is one count more than edges. ``dominant`` is the commonest value. Infinities are
    counted in the outer bins; mean, standard deviation, minimum and maximum are of the finite values.
    """

    kind: Literal["number"] = "number"
    rows: int
    nulls: int
    edges: list[float]
    counts: list[int]
    mean: float | None
    std: float | None
    minimum: float | None
    maximum: float | None
    dominant: float | None
    dominant_share: float
    constant: bool
    near_constant: bool


class CategoryProfile(Record):
    """A category column: counts of the commonest categories, and of all ``other`` ones together; null is no category."""

    kind: Literal["category"] = "category"
    rows: int
    nulls: int
    counts: dict[str, int]
    other: int
    distinct: int
    dominant: str | None
    dominant_share: float
    constant: bool
    near_constant: bool


class HiddenProfile(Record):
    """A column of personal data: nothing of its values is kept."""

    kind: Literal["hidden"] = "hidden"
    rows: int
    nulls: int


Profile = NumberProfile | CategoryProfile | HiddenProfile


class Baseline(Record):
    """``baseline.json``: profiles of the features, the target and the model's outputs on the training part.

    ``outputs`` has ``prediction`` and, for classifiers, ``p_<class>`` columns.
    """

    project: str
    rows: int
    features: dict[str, Profile]
    target: Profile
    outputs: dict[str, Profile] = Field(default_factory=dict)


def profile_numbers(values: NDArray[Any], edges: Sequence[float] | None = None) -> NumberProfile:
    """Profile a numeric column of shape (n,), NaN for null.

    Parameters
    ----------
    edges : sequence of float, optional
        Bin edges of the profile to compare with; taken from the values by default.
    """
    column = np.asarray(values, dtype=np.float64)
    present = np.sort(column[~np.isnan(column)])
    nulls = len(column) - len(present)
    if edges is None:
        edges = _edges(present)
    bounds = np.asarray(edges, dtype=np.float64)
    counts = np.bincount(np.searchsorted(bounds, present, side="left"), minlength=len(bounds) + 1)
    dominant, share = _dominant(present)
    finite = present[np.isfinite(present)]
    return NumberProfile(
        rows=len(column),
        nulls=nulls,
        edges=bounds.tolist(),
        counts=counts.tolist(),
        mean=float(finite.mean()) if len(finite) else None,
        std=float(finite.std()) if len(finite) else None,
        minimum=float(finite[0]) if len(finite) else None,
        maximum=float(finite[-1]) if len(finite) else None,
        dominant=dominant,
        dominant_share=share,
        constant=share == 1.0,
        near_constant=share >= NEAR_CONSTANT,
    )


def _edges(present: NDArray[np.float64]) -> list[float]:
    if len(present) == 0:
        return []
    levels = np.unique(present)
    if len(levels) > BINS - 2:
        levels = np.unique(np.quantile(present, np.linspace(0, 1, BINS - 2), method="inverted_cdf"))
    below = np.nextafter(levels[0], -np.inf)
    return [float(below), *levels.tolist()]


def _dominant(present: NDArray[np.float64]) -> tuple[float | None, float]:
    if len(present) == 0:
        return None, 0.0
    starts = np.flatnonzero(np.r_[True, present[1:] != present[:-1]])
    lengths = np.diff(np.r_[starts, len(present)])
    longest = int(np.argmax(lengths))
    return float(present[starts[longest]]), float(lengths[longest] / len(present))


def profile_categories(values: NDArray[Any] | Sequence[Any], known: Sequence[str] | None = None) -> CategoryProfile:
    """Profile a category column; None and ``""`` are null, booleans are counted as ``"true"`` and ``"false"``.

    Parameters
    ----------
    known : sequence of str, optional
        The categories to count one by one (those of the profile to compare with); by default the commonest.
    """
    found = Counter("" if value is None else class_name(value) for value in values)
    nulls = found.pop("", 0)
    tally = dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
    kept = list(known) if known is not None else list(tally)[:CATEGORIES]
    counts = {name: tally.get(name, 0) for name in kept}
    present = len(values) - nulls
    dominant = next(iter(tally), None)
    share = tally[dominant] / present if dominant is not None else 0.0
    return CategoryProfile(
        rows=len(values),
        nulls=nulls,
        counts=counts,
        other=present - sum(counts.values()),
        distinct=len(tally),
        dominant=dominant,
        dominant_share=share,
        constant=share == 1.0,
        near_constant=share >= NEAR_CONSTANT,
    )


def profile_like(reference: Profile, values: NDArray[Any]) -> Profile:
    """Profile new values over the bins or categories of a reference, so that the two compare count by count."""
    if isinstance(reference, NumberProfile):
        return profile_numbers(values, reference.edges)
    if isinstance(reference, CategoryProfile):
        return profile_categories(values, list(reference.counts))
    return hidden(values)


def hidden(values: NDArray[Any]) -> HiddenProfile:
    """Rows and nulls of a column of personal data."""
    nulls = sum(1 for value in values if value is None or value == "" or value != value)
    return HiddenProfile(rows=len(values), nulls=nulls)
