"""Load a model version after verifying its signature and digests.

Verification works offline, so a cold start makes no KMS call. The endpoint names a version and the digest of its manifest. The
manifest names its signing key by fingerprint; the public key is under ``trust/``, where only registration may write. The
signature is verified over the manifest's bytes, and each file that is read against its digest in the manifest. Only then does
ONNX Runtime read the ONNX bytes. Nothing but JSON and ONNX is deserialised.
"""

from __future__ import annotations

import hashlib
import re

from driftless.core.layout.artifacts import MANIFEST, ONNX, SIGNATURE, model_file, trusted_key
from driftless.errors import NotFound, SignatureInvalid
from driftless.modelling.manifest import Manifest
from driftless.modelling.onnx import OnnxModel
from driftless.modelling.version_files import read_file, read_interface, read_manifest
from driftless.ports import ObjectReader, Verifier

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def verified_manifest(store: ObjectReader, project: str, version: int, manifest_sha256: str, verifier: Verifier) -> Manifest:
    """Read one version's manifest and check that registration signed it.

    Parameters
    ----------
    store : ObjectReader
        The artifacts bucket.
    manifest_sha256 : str
        Digest that the endpoint recorded for this version, hexadecimal.

    Raises
    ------
    IntegrityError
        When the manifest is not the recorded one, lacks a key, or names another project or version.
    SignatureInvalid
        When it is unsigned, or signed by a key that is not under ``trust/``.
    """
    manifest, content = read_manifest(store, project, version, manifest_sha256)
    manifest_key = model_file(project, version, MANIFEST)
    fingerprint = manifest.signing_key
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise SignatureInvalid(f"{manifest_key} names no signing key")
    try:
        key, signature = store.get(trusted_key(fingerprint)), store.get(model_file(project, version, SIGNATURE))
    except NotFound as error:
        raise SignatureInvalid(f"{manifest_key} is unsigned, or its key {fingerprint} is not trusted: {error}") from error
    if hashlib.sha256(key).hexdigest() != fingerprint:
        raise SignatureInvalid(f"{trusted_key(fingerprint)} holds another key")
    verifier.verify(key, content, signature)
    return manifest


def load_version(
    store: ObjectReader, project: str, version: int, manifest_sha256: str, verifier: Verifier
) -> tuple[OnnxModel, Manifest]:
    """The model of one version and its manifest, both verified.

    Raises
    ------
    IntegrityError, SignatureInvalid
        As :func:`verified_manifest`, and when ``model.onnx`` or ``interface.json`` is not what the manifest says.
    NotFound, StoreUnavailable, Throttled
        From the store.
    """
    manifest = verified_manifest(store, project, version, manifest_sha256, verifier)
    interface = read_interface(store, manifest)
    return OnnxModel(read_file(store, manifest, ONNX), interface, threads=1), manifest
