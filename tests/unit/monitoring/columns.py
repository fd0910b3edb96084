"""Random columns from the standard library's generator, whose sequences never change."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from driftless.modelling.column_profile import Profile, profile_categories, profile_like, profile_numbers

WINDOWS = 8


def drawn(random: Random, kind: str, count: int, moved: float) -> list[Any]:
    """Values of one kind of column; ``moved`` is the share from another distribution."""
    nulls = {"measured": 0.002, "constant": 0.0, "counted": 0.1, "usual": 0.0, "carrier": 0.01}[kind]
    values: list[Any] = []
    for _ in range(count):
        chance, strange = random.random(), random.random() < moved
        if random.random() < nulls + moved / 4:
            values.append(None)
        elif kind == "measured":
            values.append(round(chance + random.random() + 2 * strange, 6))
        elif kind == "counted":
            values.append(int(chance * chance * 9) + 3 * strange)
        elif kind == "constant":
            values.append(7 + (chance < 0.004) + strange)
        elif kind == "usual":
            values.append("new" if strange else "rare" if chance < 0.005 else "usual")
        else:
            values.append("new" if strange else f"c{int(chance**3 * 12)}")
    return values


def profiles(window: int) -> tuple[dict[str, Profile], dict[str, Profile]]:
    """Profiles at training and of a window, by column; sizes and shifts differ by window."""
    random = Random(window)
    rows, count = 400 + 300 * window, (6, 25, 80, 300)[window % 4]
    moved = (0.0, 0.0, 0.03, 0.3)[(window * 5 + window // 4) % 4]
    reference: dict[str, Profile] = {}
    current: dict[str, Profile] = {}
    for kind in ("measured", "counted", "constant", "usual", "carrier"):
        before, after = drawn(random, kind, rows, 0.0), drawn(random, kind, count, moved)
        if kind in ("usual", "carrier"):
            reference[kind] = profile_categories(before)
            current[kind] = profile_like(reference[kind], np.array(after, dtype=object))
        else:
            reference[kind] = profile_numbers(np.array(before, dtype=np.float64))
            current[kind] = profile_like(reference[kind], np.array(after, dtype=np.float64))
    return reference, current
