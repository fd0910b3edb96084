"""The four stacks of a stage, wired together.

Separate from ``app.py`` so that tests compose the same stacks over throw-away folders and layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import Annotations, App, Tags

from driftless.definition.project import Project
from driftless.serving.inference.schema import request_schema
from infra import layers
from infra.advice import advice
from infra.constructs.api import ApiProject
from infra.projects import checked_projects
from infra.settings import Settings
from infra.stacks.data import DataStack
from infra.stacks.monitoring import MonitoringStack
from infra.stacks.pipeline import PipelineStack
from infra.stacks.serving import ServingStack


@dataclass(frozen=True)
class Sources:
    """What the stacks are made from: function folders, state machine files, finished layers and projects."""

    lambdas: Path
    workflows: Path
    artifacts: Mapping[str, layers.Artifact]
    projects: Mapping[str, Project]


@dataclass(frozen=True)
class Stacks:
    """The deployment units of one stage."""

    data: DataStack
    pipeline: PipelineStack
    serving: ServingStack
    monitoring: MonitoringStack


def sources(root: Path, settings: Settings) -> Sources:
    """The checkout's own sources.

    Raises
    ------
    driftless.errors.BadProject, driftless.errors.LeakageFound
        When a project definition is wrong.
    infra.layers.LayersMissing
        When a layer was not built for this stage.
    """
    return Sources(
        lambdas=root / "lambdas",
        workflows=root / "step_functions",
        projects=checked_projects(root / "projects"),
        artifacts=layers.artifacts(settings, root),
    )


def compose(app: App, settings: Settings, source: Sources) -> Stacks:
    """Add the stacks of a stage to an app."""
    prefix = f"driftless-{settings.stage}"
    data = DataStack(app, f"{prefix}-data", settings=settings, projects=sorted(source.projects))
    pipeline = PipelineStack(
        app,
        f"{prefix}-pipeline",
        settings=settings,
        data=data,
        artifacts=source.artifacts,
        lambdas=source.lambdas,
        workflows=source.workflows,
    )
    serving = ServingStack(
        app,
        f"{prefix}-serving",
        settings=settings,
        data=data,
        artifacts=source.artifacts,
        lambdas=source.lambdas,
        projects={name: _api_project(project) for name, project in source.projects.items()},
    )
    monitoring = MonitoringStack(
        app,
        f"{prefix}-monitoring",
        settings=settings,
        data=data,
        pipeline=pipeline,
        artifacts=source.artifacts,
        lambdas=source.lambdas,
        workflows=source.workflows,
        projects=source.projects,
    )
    for identifier, text in advice(settings, source.projects):
        Annotations.of(data).add_warning_v2(identifier, text)
    Tags.of(app).add("application", "driftless")
    Tags.of(app).add("stage", settings.stage)
    return Stacks(data=data, pipeline=pipeline, serving=serving, monitoring=monitoring)


def _api_project(project: Project) -> ApiProject:
    return ApiProject(
        request_schema=request_schema(project),
        rate_limit=project.serving.rate_limit,
        burst_limit=project.serving.burst_limit,
    )
