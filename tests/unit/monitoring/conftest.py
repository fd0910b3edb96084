"""A monitored project in memory: a champion with a baseline, predictions, labels.

Predictions go through the collector, labels are stored as the labels function stores them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from driftless.definition.project import Project
from driftless.modelling.column_profile import Baseline, HiddenProfile, Profile, profile_categories, profile_numbers
from driftless.monitoring.detectors import DETECTORS, Detector
from driftless.monitoring.step import Monitor
from driftless.records import Label, ModelVersion, MonitoringRecord, MonitoringRequest
from driftless.serving.collector import Collect, CollectRequest, Compressed
from driftless.testing.memory import MemoryStore
from driftless.testing.memory_registry import MemoryMetrics, MemoryRegistry
from tests.unit.modelling.models import graph, manifest
from tests.unit.modelling.projects import definition

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
START = datetime(2013, 5, 1, tzinfo=UTC)


def inputs(generator: np.random.Generator, count: int) -> dict[str, list[Any]]:
    """Columns of the demo project's features, from the population's distribution."""
    return {
        "temp": np.where(generator.random(count) < 0.1, np.nan, generator.normal(15, 8, count).round(1)).tolist(),
        "seats": generator.integers(100, 300, count).tolist(),
        "origin": generator.choice(["EWR", "JFK"], count).tolist(),
        "carrier": generator.choice(["AA", "UA", "DL"], count).tolist(),
        "night": (generator.random(count) < 0.3).tolist(),
    }


def ticking() -> Callable[[], datetime]:
    """A clock that advances one second per reading."""
    seconds = itertools.count()
    return lambda: NOW + timedelta(seconds=next(seconds))


@dataclass
class Monitored:
    """One project whose window a test fills."""

    project: Project
    lake: MemoryStore = field(default_factory=MemoryStore)
    artifacts: MemoryStore = field(default_factory=MemoryStore)
    registry: MemoryRegistry = field(default_factory=lambda: MemoryRegistry(clock=ticking()))
    metrics: MemoryMetrics = field(default_factory=MemoryMetrics)
    detectors: Sequence[Detector] = DETECTORS

    def crown(
        self, version: int = 1, reference: float = 0.5, *, outputs: dict[str, Profile] | None = None, leave_out: str = ""
    ) -> None:
        """Register a version with a baseline, of these outputs if given, and make it the champion."""
        generator = np.random.default_rng(version)
        columns = inputs(generator, 5000)
        features: dict[str, Profile] = {
            name: profile_categories(columns[name])
            if name in ("origin", "carrier")
            else profile_numbers(np.array(columns[name], dtype=np.float32))
            for name in columns
        }
        features["name"] = HiddenProfile(rows=5000, nulls=0)
        chances = generator.beta(2, 5, 5000)
        baseline = Baseline(
            project=self.project.name,
            rows=5000,
            features=features,
            target=profile_categories((chances > 0.5).tolist()),
            outputs=outputs or {"p_false": profile_numbers(1 - chances), "p_true": profile_numbers(chances)},
        )
        _, interface = graph(self.project)
        files = {"baseline.json": baseline.model_dump_json().encode(), "interface.json": interface.to_json()}
        files.pop(leave_out, None)
        metrics = {self.project.gates.primary: reference}
        measured = {name: value + 9.0 for name, value in metrics.items()}
        made = manifest(self.project.name, version, files, metrics=measured, expected=metrics)
        files["manifest.json"] = made.model_dump_json().encode()
        for name, content in files.items():
            self.artifacts.put(f"models/{self.project.name}/{version}/{name}", content)
        digest = hashlib.sha256(files["manifest.json"]).hexdigest()
        self.registry.reserve_version(self.project.name, f"run-{version}")
        self.registry.create_version(
            ModelVersion(
                project=self.project.name,
                version=version,
                run_id=f"run-{version}",
                created_at=NOW,
                source=f"models/{self.project.name}/{version}",
                manifest_sha256=digest,
                signing_key="",
                decision="promote",
                metrics=metrics,
            )
        )
        self.registry.move_endpoint(
            self.project.name,
            lambda now: now.model_copy(
                update={
                    "champion": version,
                    "previous_champion": now.champion,
                    "manifests": {**now.manifests, str(version): digest},
                    "updated_at": NOW,
                }
            ),
            actor="test",
            action="promote",
        )

    def predict(
        self,
        columns: dict[str, list[Any]],
        outputs: Sequence[dict[str, Any]],
        *,
        start: datetime = START,
        days: float = 20,
        version: int = 1,
        tag: str = "r",
    ) -> list[str]:
        """Collect predictions, spread evenly over days of event time; returns their ids."""
        count = len(outputs)
        lines = []
        for row, output in enumerate(outputs):
            values = {name: None if column[row] != column[row] else column[row] for name, column in columns.items()}
            line = {
                "kind": "prediction",
                "id": f"{tag}-{row}",
                "request_id": tag,
                "project": self.project.name,
                "time": NOW.isoformat(),
                "event_time": (start + timedelta(days=days * row / count)).isoformat(),
                "version": version,
                "variant": "champion",
                "inputs": values,
                "output": output,
                "latency_us": 100,
            }
            lines.append({"id": str(row), "timestamp": 1772366400000, "message": json.dumps(line)})
        content = gzip.compress(json.dumps({"messageType": "DATA_MESSAGE", "logEvents": lines}).encode())
        request = CollectRequest(awslogs=Compressed(data=base64.b64encode(content).decode()))
        record = Collect(lake=self.lake, projects={self.project.name: self.project})(request)
        assert record.unreadable == 0
        return [f"{tag}-{row}" for row in range(count)]

    def label(self, ids: Sequence[str], truth: Sequence[Any], *, observed: datetime = NOW, received: datetime = NOW) -> None:
        """Store labels as the labels function does, in one object."""
        lines = [
            Label(id=name, project=self.project.name, label=value, observed_at=observed, received_at=received).model_dump_json()
            for name, value in zip(ids, truth, strict=True)
        ]
        key = f"labels/{self.project.name}/day={received:%Y-%m-%d}/{len(self.lake.list('labels/'))}.json"
        self.lake.put(key, ("\n".join(lines) + "\n").encode())

    def monitor(self) -> Monitor:
        return Monitor(
            lake=self.lake,
            artifacts=self.artifacts,
            registry=self.registry,
            metrics=self.metrics,
            projects={self.project.name: self.project},
            clock=lambda: NOW,
            stage="test",
            detectors=self.detectors,
        )

    def judge(self, window_end: datetime | None = None) -> MonitoringRecord:
        return self.monitor()(MonitoringRequest(project=self.project.name, window_end=window_end))

    def published(self) -> dict[str, float]:
        return self.metrics.published[-1][1]


def binary(chances: np.ndarray) -> list[dict[str, Any]]:
    """Logged outputs for these probabilities of true."""
    return [{"prediction": bool(p > 0.5), "probabilities": {"false": 1 - p, "true": p}} for p in chances.tolist()]


@pytest.fixture
def monitored() -> Callable[..., Monitored]:
    """Builds a :class:`Monitored` with a champion."""

    def build(task: str = "binary", *, reference: float = 0.5, **monitoring: Any) -> Monitored:
        settings = {"minimum_predictions": 200, "minimum_labels": 100, "window_days": 30, **monitoring}
        found = Monitored(definition(task, monitoring=settings))
        found.crown(reference=reference)
        return found

    return build
