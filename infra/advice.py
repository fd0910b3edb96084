"""Warnings at synthesis about settings that deploy but are probably not intended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from driftless.definition.project import Project
from infra.settings import Settings

SHORTEST_BAKE_SECONDS = 180
"""CloudWatch shows a metric of a log line one to two minutes late; a shorter canary step ends before its metrics are visible."""


def advice(settings: Settings, projects: Mapping[str, Project]) -> Iterator[tuple[str, str]]:
    """Identifier and text of each thing to know about a stage in AWS; the embedded cloud is for trying things."""
    if settings.stage == "local":
        return
    if settings.commit == "unknown":
        yield (
            "driftless:commit",
            "data versions and models will not name the git commit they came from; add --context commit=$(git rev-parse HEAD)",
        )
    if settings.alarm_email is None:
        yield (
            "driftless:alarm_email",
            "nobody receives notifications of failures: the topic has no subscriber; add --context alarm_email=ADDRESS",
        )
    for name, project in projects.items():
        steps, seconds = project.serving.canary_steps, project.serving.bake_seconds
        if steps and seconds < SHORTEST_BAKE_SECONDS:
            yield (
                f"driftless:bake:{name}",
                f"projects/{name}/project.toml: bake_seconds = {seconds} ends a canary step before its metrics are there, so it "
                f"judges nothing; write {SHORTEST_BAKE_SECONDS} or more",
            )
