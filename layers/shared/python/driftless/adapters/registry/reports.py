"""Monitoring's reports, one per window."""

from __future__ import annotations

from datetime import datetime

from driftless.adapters.items import Write
from driftless.adapters.registry.table import RegistryTable, flat, given
from driftless.core.iso_time import stamp
from driftless.modelling import audit_chain
from driftless.records import WindowFacts, WindowReport


class Reports(RegistryTable):
    """ReportLog and ReportReader."""

    def record_monitoring(self, project: str, window_end: datetime, facts: WindowFacts) -> None:
        body = {"project": project, "window_end": stamp(window_end), "recorded_at": stamp(self._clock()), "facts": given(facts)}
        self._items.transact([Write(f"{project}#monitoring", stamp(window_end), {"record": audit_chain.canonical(body)})])

    def monitoring(self, project: str, limit: int = 50) -> list[WindowReport]:
        return [WindowReport.model_validate(flat(item)) for item in self._newest(f"{project}#monitoring", limit)]
