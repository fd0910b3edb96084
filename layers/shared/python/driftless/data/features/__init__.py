"""Features: the project's SQL over its tables, the same for a training set, a leak check and a laptop.

``tables`` loads the tables and hides what is not known yet. The base dataset and every other dataset are visible without the
columns that are only known after the event. Where a dataset has such columns, ``<dataset>_outcomes`` shows all of them with
``known_at``, for as-of joins on the past. ``compute`` runs the SQL over these views and checks what it yields, ``target`` adds
the target, ``build`` does all of it from local files.
"""

from __future__ import annotations

from driftless.data.features.build import FeatureTable, build, check

__all__ = ["FeatureTable", "build", "check"]
