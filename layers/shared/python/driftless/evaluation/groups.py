"""Groups of the hold-out: slices that the gates judge, and protected groups that the report compares."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftless.evaluation.case import Masks
from driftless.modelling.evaluation_report import ProtectedGroups
from driftless.modelling.metrics import Scored, class_name, measure_all

LEVELS = 20
"""Most groups of a column. Their results are part of step payloads, whose size is limited."""
NAME_LENGTH = 60


def cut(values: NDArray[Any]) -> Masks:
    """Masks of a column's groups, each of shape (n,).

    Texts, and numbers with few distinct values, are grouped by value; other numbers by quartile; nulls are one group. Of texts
    with many values, each of the most frequent is a group, and all others are one group.
    """
    if values.dtype.kind == "f":
        present = values[~np.isnan(values)]
        if len(np.unique(present)) > LEVELS:
            return _quartiles(values, present)
        named = np.array(["null" if np.isnan(value) else f"{value:g}" for value in values], dtype=object)
    else:
        named = np.array(["null" if value is None or value == "" else class_name(value) for value in values], dtype=object)
    names, counts = np.unique(named.astype(str), return_counts=True)
    if len(names) <= LEVELS:
        return {_short(name): named == name for name in names}
    frequent = sorted(names[np.argsort(-counts, kind="stable")[: LEVELS - 1]])
    masks = {_short(name): named == name for name in frequent}
    return {**masks, f"{len(names) - len(frequent)} other values": ~np.isin(named.astype(str), frequent)}


def _short(name: str) -> str:
    """A name short enough for a table; a digest keeps it distinct."""
    if len(name) <= NAME_LENGTH:
        return str(name)
    return f"{name[: NAME_LENGTH - 10]}… {hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _quartiles(values: NDArray[np.float64], present: NDArray[np.float64]) -> Masks:
    edges = np.unique(np.quantile(present, [0, 0.25, 0.5, 0.75, 1], method="inverted_cdf"))
    masks: Masks = {}
    for index, (low, high) in enumerate(itertools.pairwise(edges)):
        above = values >= low if index == 0 else values > low
        masks[f"{low:g} to {high:g}"] = above & (values <= high)
    missing = np.isnan(values)
    return {**masks, "null": missing} if missing.any() else masks


def protected_report(scored: Scored, masks: Masks) -> ProtectedGroups:
    """Each group's rows, metrics, and rates; for binary models the gaps between groups.

    ``selection_rate`` is the share predicted true; ``true_positive_rate`` the share of true rows predicted true (their gap is
    that of equal opportunity, Hardt, Price & Srebro, 2016); ``false_positive_rate`` alike for false rows.
    """
    groups: dict[str, dict[str, float]] = {}
    for name, mask in masks.items():
        part = scored.take(mask)
        groups[name] = {"rows": float(len(part)), **measure_all(part), **(_rates(part) if scored.task == "binary" else {})}
    gaps = {}
    for rate in ("selection_rate", "true_positive_rate", "false_positive_rate"):
        found = [group[rate] for group in groups.values() if rate in group]
        if len(found) > 1:
            gaps[rate] = max(found) - min(found)
    return ProtectedGroups(groups=groups, gaps=gaps)


def _rates(part: Scored) -> dict[str, float]:
    chosen, true = part.predicted == 1, part.truth == 1
    rates = {"selection_rate": float(chosen.mean())}
    if true.any():
        rates["true_positive_rate"] = float(chosen[true].mean())
    if (~true).any():
        rates["false_positive_rate"] = float(chosen[~true].mean())
    return rates
