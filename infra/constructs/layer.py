"""The layers of a stack's functions, from finished artifacts.

Each stack makes its own layer versions of the same assets: a version shared across stacks would be an export that
CloudFormation refuses to change while another stack uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import AssetHashType, IgnoreMode
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.layers import Artifact
from infra.settings import Settings

_IGNORED = ["__pycache__", "*.pyc", "*.egg-info", "/python/driftless/testing"]
"""What the library's layer leaves out: caches, and the in-memory adapters that only tests and laptops use."""


class DependencyLayer(Construct):
    """One layer version for the stage's Python and processor.

    Attributes
    ----------
    version : lambda_.LayerVersion
    """

    def __init__(self, scope: Construct, identifier: str, *, artifact: Artifact, settings: Settings) -> None:
        super().__init__(scope, identifier)
        if artifact.digest is None:
            code = lambda_.Code.from_asset(str(artifact.path), exclude=_IGNORED, ignore_mode=IgnoreMode.GIT)
        else:
            code = lambda_.Code.from_asset(str(artifact.path), asset_hash=artifact.digest, asset_hash_type=AssetHashType.CUSTOM)
        self.version = lambda_.LayerVersion(
            self,
            "Version",
            code=code,
            description=f"driftless {artifact.name}",
            compatible_runtimes=[lambda_.Runtime(f"python{settings.python}", lambda_.RuntimeFamily.PYTHON)],
        )


class DependencyLayers:
    """The layer versions of one stack, created when first used."""

    def __init__(self, scope: Construct, *, artifacts: Mapping[str, Artifact], settings: Settings) -> None:
        self._scope = scope
        self._artifacts = artifacts
        self._settings = settings
        self._made: dict[str, lambda_.LayerVersion] = {}

    def versions(self, names: Sequence[str]) -> list[lambda_.LayerVersion]:
        """Layer versions by name, in order."""
        return [self._version(name) for name in names]

    def weights(self, names: Sequence[str]) -> dict[str, int]:
        """Unzipped bytes by layer name."""
        return {name: self._artifacts[name].unzipped_bytes for name in names}

    def _version(self, name: str) -> lambda_.LayerVersion:
        if name not in self._made:
            layer = DependencyLayer(self._scope, f"{name.title()}Layer", artifact=self._artifacts[name], settings=self._settings)
            self._made[name] = layer.version
        return self._made[name]
