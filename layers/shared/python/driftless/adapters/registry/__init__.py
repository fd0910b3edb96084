"""The registry's ports over any table of items, one module per port: items, conditions, and what a lost race means.

Each collection of a project is a partition of its own (``flights#runs``, ``flights#audit`` …). Every change is one
conditional transaction; a transaction that loses a race reads again and decides again.
"""

from __future__ import annotations

from driftless.adapters.registry.endpoints import Endpoints
from driftless.adapters.registry.ingests import Ingests
from driftless.adapters.registry.reports import Reports
from driftless.adapters.registry.retrains import Retrains
from driftless.adapters.registry.runs import Runs

__all__ = ["TableRegistry"]


class TableRegistry(Runs, Endpoints, Reports, Retrains, Ingests):
    """The whole Registry port over a table of items; parameters as of
    :class:`~driftless.adapters.registry.table.RegistryTable`.
    """
