"""Files of a registered model version, checked against recorded digests.

The endpoint and the registry record the digest of a version's manifest, and the manifest records the digest of each file. A file
with another digest is refused. :mod:`driftless.modelling.loader` adds the check of the signature and loads the model.
"""

from __future__ import annotations

from driftless.core.layout.artifacts import INTERFACE, MANIFEST, model_file
from driftless.errors import IntegrityError
from driftless.modelling.interface import Interface, parse_interface
from driftless.modelling.manifest import Manifest
from driftless.modelling.parsing import parse
from driftless.modelling.references import read_recorded
from driftless.ports import ObjectReader


def read_manifest(store: ObjectReader, project: str, version: int, manifest_sha256: str) -> tuple[Manifest, bytes]:
    """The manifest of one version, and its bytes as they were signed.

    Raises
    ------
    IntegrityError
        When the manifest is not the recorded one, lacks a key, or names another project or version.
    """
    key = model_file(project, version, MANIFEST)
    content = read_recorded(store, key, manifest_sha256)
    manifest = parse_manifest(key, content)
    if (manifest.project, manifest.version) != (project, version):
        raise IntegrityError(f"{key} is that of {manifest.project} version {manifest.version}")
    return manifest, content


def parse_manifest(key: str, content: bytes) -> Manifest:
    """What a manifest says; IntegrityError, naming the first key that is missing or wrong, when it is none."""
    return parse(Manifest, "manifest", key, content)


def read_file(store: ObjectReader, manifest: Manifest, name: str) -> bytes:
    """One file of a version; IntegrityError when its digest is not the manifest's."""
    key = model_file(manifest.project, manifest.version, name)
    recorded = manifest.files.get(name)
    if recorded is None:
        raise IntegrityError(f"{key} is not in the manifest")
    return read_recorded(store, key, recorded)


def read_interface(store: ObjectReader, manifest: Manifest) -> Interface:
    """The interface of a version's model; IntegrityError when it is not the recorded one."""
    key = model_file(manifest.project, manifest.version, INTERFACE)
    return parse_interface(key, read_file(store, manifest, INTERFACE))
