"""What the gates judge: one hold-out with its target, and all predictions for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from driftless.modelling.metrics import Scored

Masks = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Case:
    """One hold-out of n rows.

    Attributes
    ----------
    challenger, naive : Scored
        Predictions for all n rows.
    champion : Scored or None
        None when there is no champion, or when it cannot be compared.
    champion_version : int or None
    champion_train_end : datetime or None
        Where the champion's own training data ended.
    naive_metric : str
        The metric by which the challenger must beat the naive predictor.
    times : ndarray of datetime64, shape (n,)
    blocks : ndarray of int64, shape (n,)
        The bootstrap block of each row.
    groups : mapping of column to masks by value
        For slices and protected attributes.
    """

    challenger: Scored
    naive: Scored
    champion: Scored | None
    champion_version: int | None
    champion_train_end: datetime | None
    naive_metric: str
    times: NDArray[np.datetime64]
    blocks: NDArray[np.int64]
    groups: Mapping[str, Masks]
