"""A project with registered versions, and the deployment stage over memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from driftless.definition.loading import load
from driftless.records import DeploymentRecord, DeploymentRequest, Endpoint, ModelVersion, Run, VersionRecord
from driftless.registry.rollout import Deploy
from driftless.testing.memory import MemoryStore
from driftless.testing.memory_registry import MemoryMetrics, MemoryRegistry


class Clock:
    """A clock that stands until somebody moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def model_version(number: int, *, decision: str = "promote", compared_with: int | None = None) -> ModelVersion:
    fields: dict[str, Any] = {
        "project": "flights",
        "version": number,
        "run_id": f"run-{number}",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "source": f"models/flights/{number}",
        "manifest_sha256": f"{number:064x}",
        "signing_key": "f" * 64,
        "decision": decision,
        "metrics": {},
        "tags": {"compared_with": "" if compared_with is None else str(compared_with)},
    }
    return ModelVersion(**fields)


class Scene:
    """Flights with canary steps of our choosing; versions 1 (first champion) and 2 (its challenger) are registered."""

    def __init__(self, canary_steps: tuple[float, ...] = (0.1, 0.5)) -> None:
        self.clock = Clock()
        self.store = MemoryStore()
        self.registry = MemoryRegistry(clock=self.clock, pause=lambda seconds: None)
        self.metrics = MemoryMetrics(clock=self.clock)
        project = load(Path(__file__).parents[4] / "projects" / "flights")
        limits = {"canary_steps": canary_steps, "bake_seconds": 60, "quiet_bakes": 3, "max_error_rate": 0.01}
        serving = project.serving.model_copy(update=limits)
        self.projects = {"flights": project.model_copy(update={"serving": serving})}
        self.registry.create_version(model_version(1))
        self.registry.create_version(model_version(2, compared_with=1))

    def deploy(self, **replaced: Any) -> Deploy:
        ports = {"registry": self.registry, "artifacts": self.store, "metrics": self.metrics, **replaced}
        return Deploy(**ports, projects=self.projects, stage="local", clock=self.clock)

    def step(self, number: int, deployment: DeploymentRecord | None = None, *, abandon: bool = False) -> DeploymentRecord:
        return self.deploy()(deployment_request(number, deployment, abandon=abandon))

    def first_champion(self) -> None:
        assert self.step(1).status == "promoted"
        self.clock.pass_seconds(3600)

    def served(self, number: int, predictions: float, errors: float = 0) -> None:
        """What CloudWatch counted while the step baked."""
        self.clock.pass_seconds(30)
        where = {"Stage": "local", "Project": "flights", "Version": str(number)}
        self.metrics.publish({"Predictions": predictions, "PredictionErrors": errors}, where)
        self.clock.pass_seconds(30)

    def baked(self, number: int, deployment: DeploymentRecord | None = None) -> DeploymentRecord:
        """The next step, after one that baked with traffic and without an error."""
        if deployment is not None:
            self.served(number, 100)
        return self.step(number, deployment)

    def copy(self) -> Endpoint:
        return Endpoint.model_validate_json(self.store.get("serving/flights/endpoint.json"))

    def copied_revisions(self, scratch: Path) -> list[int]:
        """Revisions that the copy has held, oldest first."""
        key = "serving/flights/endpoint.json"
        for version in self.store.version_ids(key):
            self.store.download(key, scratch / version, version_id=version)
        held = [(scratch / version).read_bytes() for version in self.store.version_ids(key)]
        return [Endpoint.model_validate_json(content).revision for content in held]

    def actions(self) -> list[str]:
        return [event.action for event in self.registry.audit("flights") if event.action != "register"]


def deployment_request(number: int, deployment: DeploymentRecord | None = None, *, abandon: bool = False) -> DeploymentRequest:
    return DeploymentRequest(
        run=Run(run_id=f"run-{number}", execution_arn=f"arn:run-{number}", project="flights"),
        version=VersionRecord(
            project="flights",
            version=number,
            prefix=f"models/flights/{number}",
            manifest_sha256=f"{number:064x}",
            signing_key="f" * 64,
            decision="promote",
        ),
        deployment=deployment,
        abandon=abandon,
    )
