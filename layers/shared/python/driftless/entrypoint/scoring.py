"""Composition of the scoring function: the champion comes through the verified loader that serving uses."""

from __future__ import annotations

from driftless.adapters.aws import client
from driftless.adapters.ecdsa import EcdsaVerifier
from driftless.adapters.s3 import S3Store
from driftless.entrypoint.common import Settings, read_settings
from driftless.evaluation.scoring import Score
from driftless.modelling.loader import load_version
from driftless.modelling.manifest import Manifest
from driftless.modelling.onnx import OnnxModel


class ScoringSettings(Settings):
    """Environment of the function."""

    artifacts_bucket: str


def compose() -> Score:
    """The step with its adapters."""
    settings = read_settings(ScoringSettings)
    artifacts, verifier = S3Store(settings.artifacts_bucket, client=client("s3")), EcdsaVerifier()

    def load(project: str, version: int, manifest_sha256: str) -> tuple[OnnxModel, Manifest]:
        return load_version(artifacts, project, version, manifest_sha256, verifier)

    return Score(artifacts=artifacts, load_version=load)
