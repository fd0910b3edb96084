"""CloudFormation refuses a template whose resources wait for each other, and only on AWS would one see it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

import pytest

from tests.infra.conftest import Synth


def needed(value: Any) -> Iterator[str]:
    """Names that a value refers to, by any intrinsic, wherever in a resource it stands."""
    if isinstance(value, list):
        for item in value:
            yield from needed(item)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key == "Ref":
            yield inner
        elif key == "Fn::GetAtt":
            yield (inner if isinstance(inner, list) else inner.split("."))[0]
        elif key == "Fn::Sub":
            text = inner if isinstance(inner, str) else inner[0]
            yield from re.findall(r"\$\{([A-Za-z0-9]+)", text)
        elif key == "DependsOn":
            yield from [inner] if isinstance(inner, str) else inner
        yield from needed(inner)


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_no_resources_wait_for_each_other(stage: str, request: pytest.FixtureRequest) -> None:
    """UpdatePolicy counts too: a deployment group that it names is made before the alias."""
    synth: Synth = request.getfixturevalue(stage)
    for template in synth.templates.values():
        resources = template["Resources"]
        graph = {name: set(needed(resource)) & set(resources) for name, resource in resources.items()}
        assert any(graph.values())
        # Raises CycleError, which names the cycle.
        TopologicalSorter(graph).prepare()


def test_a_cycle_by_an_update_policy_is_seen() -> None:
    alias = {"UpdatePolicy": {"CodeDeployLambdaAliasUpdate": {"DeploymentGroupName": {"Ref": "Group"}}}}
    role = {"Properties": {"Resource": {"Fn::Sub": "${Alias.Arn}"}}}
    assert list(needed(alias)) == ["Group"]
    assert list(needed({"Properties": {"Role": {"Fn::GetAtt": ["Role", "Arn"]}}, "DependsOn": ["Other"]})) == ["Role", "Other"]
    assert list(needed(role)) == ["Alias"]
