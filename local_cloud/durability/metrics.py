"""CloudWatch: save alarm states and history shortly after a change, and datapoints every few seconds.

Datapoints arrive constantly and become many, while alarms change rarely and trigger actions. So each has its own file.
After a crash an alarm has its last announced state, and the datapoints of the last seconds are lost.
"""

from __future__ import annotations

import copy
import time
from typing import Any

from local_cloud import emulator
from local_cloud.durability.snapshots import Snapshots

METRICS = "cloudwatch_metrics"
_INTERVAL = 5.0  # seconds between two checks for new datapoints
_ALARMS = ("alarms", "composite_alarms", "composite_triggers", "alarm_history", "dashboards", "resource_tags")


class Metrics:
    """Save CloudWatch's state as two files: alarms and datapoints.

    Parameters
    ----------
    snapshots : Snapshots
        Writes the state files.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._service = emulator.module("services.cloudwatch")
        for name in ("_metrics", *(f"_{name}" for name in _ALARMS)):
            emulator.original(self._service, name)
        self._seen_alarms: list[Any] = []
        self._seen_points = 0
        self._looked = 0.0

    def install(self) -> None:
        """Replace the state that the service saves, and watch it for changes."""
        emulator.replace(self._service, "get_state", self.alarms)
        self._snapshots.add(METRICS, self.metrics)
        self._snapshots.watch(self.changed_alarms)
        self._snapshots.watch(self.changed_metrics)

    def alarms(self) -> dict[str, Any]:
        """Return the state without the datapoints."""
        return {name: copy.deepcopy(getattr(self._service, f"_{name}")) for name in _ALARMS}

    def metrics(self) -> dict[str, Any]:
        """Return a copy of the datapoints; a stored datapoint never changes."""
        metrics = self._service._metrics
        copied = type(metrics)()
        copied._data = {key: list(points) for key, points in list(metrics._data.items())}
        return {"metrics": copied}

    def changed_alarms(self) -> str | None:
        """Return the service's name if an alarm changed its state or its history grew."""
        alarms, history = self._service._alarms._data, self._service._alarm_history._data
        seen: list[Any] = [(key, alarm["StateValue"]) for key, alarm in list(alarms.items())]
        seen += [(key, len(entries)) for key, entries in list(history.items())]
        if seen == self._seen_alarms:
            return None
        self._seen_alarms = seen
        return "cloudwatch"

    def changed_metrics(self) -> str | None:
        """Return the name of the datapoints' file if there are new ones, at most every few seconds."""
        if time.monotonic() - self._looked < _INTERVAL:
            return None
        self._looked = time.monotonic()
        points = sum(map(len, list(self._service._metrics._data.values())))
        if points == self._seen_points:
            return None
        self._seen_points = points
        return METRICS
