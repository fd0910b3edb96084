"""The champion that a window is judged against, from its files in the artifacts bucket."""

from __future__ import annotations

from dataclasses import dataclass

from driftless.core.layout.artifacts import BASELINE
from driftless.modelling.column_profile import Baseline
from driftless.modelling.version_files import read_file, read_interface, read_manifest
from driftless.ports import ObjectReader
from driftless.records import Endpoint


@dataclass(frozen=True)
class Champion:
    """What monitoring needs to know of the model version that serves.

    Attributes
    ----------
    classes : tuple of str
        The model's classes in order; empty for regression.
    baseline : Baseline
        Profiles of features and outputs at training.
    metrics : dict
        The metrics that are expected of it: those of its hold-out, the primary one as
        ``EvaluationRecord.expected`` defines.
    """

    version: int
    classes: tuple[str, ...]
    baseline: Baseline
    metrics: dict[str, float]


def load_champion(artifacts: ObjectReader, endpoint: Endpoint) -> Champion | None:
    """Load an endpoint's champion; None when it has none.

    Raises
    ------
    IntegrityError
        When a file is missing or is not what the manifest says.
    """
    version = endpoint.champion
    if version is None:
        return None
    manifest, _ = read_manifest(artifacts, endpoint.project, version, endpoint.manifests.get(str(version), ""))
    interface = read_interface(artifacts, manifest)
    baseline = Baseline.model_validate_json(read_file(artifacts, manifest, BASELINE))
    return Champion(version, interface.classes or (), baseline, manifest.metrics | manifest.expected)
