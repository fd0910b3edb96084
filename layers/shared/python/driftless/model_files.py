"""Files of a registered model version, read against recorded digests.

Whoever reads a version knows the digest of its manifest (from the endpoint or the registry), and the manifest knows the digest of
each file: nothing of a version is believed that does not match. :mod:`driftless.model_store` adds the signature and the model.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from driftless.errors import IntegrityError
from driftless.ports import ObjectReader


def model_prefix(project: str, version: int) -> str:
    """Folder of a model version in the artifacts bucket."""
    return f"models/{project}/{version}"


def read_manifest(store: ObjectReader, project: str, version: int, manifest_sha256: str) -> tuple[dict[str, Any], bytes]:
    """The manifest of one version, and its bytes as they were signed.

    Raises
    ------
    IntegrityError
        When the manifest is not the recorded one, or speaks of another project or version.
    """
    key = f"{model_prefix(project, version)}/manifest.json"
    content = store.get(key)
    _check(key, content, manifest_sha256)
    manifest: dict[str, Any] = json.loads(content)
    if manifest.get("project") != project or manifest.get("version") != version:
        raise IntegrityError(f"{key} is that of {manifest.get('project')} version {manifest.get('version')}")
    return manifest, content


def read_file(store: ObjectReader, manifest: dict[str, Any], name: str) -> bytes:
    """One file of a version; IntegrityError when its digest is not the manifest's."""
    key = f"{model_prefix(manifest['project'], manifest['version'])}/{name}"
    recorded = manifest["files"].get(name)
    if recorded is None:
        raise IntegrityError(f"{key} is not in the manifest")
    content = store.get(key)
    _check(key, content, recorded)
    return content


def _check(key: str, content: bytes, recorded: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != recorded:
        raise IntegrityError(f"{key} has sha256 {found}, recorded was {recorded}")
