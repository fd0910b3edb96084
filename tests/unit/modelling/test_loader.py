"""Only the requested version is loaded, verified by digests and signature."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from driftless.adapters.ecdsa import EcdsaVerifier
from driftless.errors import DriftlessError, IntegrityError, NotFound, SignatureInvalid
from driftless.modelling.loader import load_version
from driftless.modelling.manifest import Manifest
from driftless.modelling.onnx import OnnxModel
from driftless.modelling.version_files import parse_manifest, read_file, read_manifest
from driftless.testing.memory import MemoryStore
from tests.unit.modelling.models import Key, publish
from tests.unit.modelling.projects import RECORD, definition

PROJECT = definition()
FOLDER = "models/demo/3"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def load(store: MemoryStore, digest: str, version: int = 3) -> tuple[OnnxModel, Manifest]:
    return load_version(store, "demo", version, digest, EcdsaVerifier())


def test_a_good_version_loads_and_predicts(store: MemoryStore) -> None:
    model, manifest = load(store, publish(store, PROJECT, 3, Key()))
    assert manifest.version == 3
    assert model.classes == ("false", "true")
    assert model.predict({name: [value] for name, value in RECORD.items()}).labels == [True]


def _edit_manifest(store: MemoryStore, key: Key, **changes: Any) -> str:
    """Change the manifest as an attacker without the signing key could, and say its new digest."""
    manifest = {**json.loads(store.get(f"{FOLDER}/manifest.json")), **changes}
    content = json.dumps(manifest).encode()
    store.put(f"{FOLDER}/manifest.json", content)
    return hashlib.sha256(content).hexdigest()


def _resign(store: MemoryStore, key: Key) -> None:
    store.put(f"{FOLDER}/manifest.sig", key.sign(store.get(f"{FOLDER}/manifest.json")))


def _other_model(store: MemoryStore, key: Key, digest: str) -> str:
    other = MemoryStore()
    publish(other, PROJECT, 3, key, bias=9)
    store.put(f"{FOLDER}/model.onnx", other.get(f"{FOLDER}/model.onnx"))
    return digest


def _other_interface(store: MemoryStore, key: Key, digest: str) -> str:
    store.put(f"{FOLDER}/interface.json", store.get(f"{FOLDER}/interface.json") + b" ")
    return digest


def _other_manifest(store: MemoryStore, key: Key, digest: str) -> str:
    _edit_manifest(store, key, metrics={})
    return digest


def _other_manifest_and_endpoint(store: MemoryStore, key: Key, digest: str) -> str:
    return _edit_manifest(store, key, metrics={})


def _other_signature(store: MemoryStore, key: Key, digest: str) -> str:
    store.put(f"{FOLDER}/manifest.sig", key.sign(b"something else"))
    return digest


def _garbled_signature(store: MemoryStore, key: Key, digest: str) -> str:
    store.put(f"{FOLDER}/manifest.sig", b"not DER")
    return digest


def _own_key(store: MemoryStore, key: Key, digest: str) -> str:
    """Signed well, by a key that nobody put under trust/."""
    intruder = Key()
    found = _edit_manifest(store, key, signing_key=intruder.fingerprint)
    _resign(store, intruder)
    return found


def _own_key_under_a_trusted_name(store: MemoryStore, key: Key, digest: str) -> str:
    intruder = Key()
    store.put(f"trust/{key.fingerprint}.der", intruder.public)
    _resign(store, intruder)
    return digest


def _no_key_named(store: MemoryStore, key: Key, digest: str) -> str:
    found = _edit_manifest(store, key, signing_key="../models/demo/3/manifest")
    _resign(store, key)
    return found


def _another_projects_manifest(store: MemoryStore, key: Key, digest: str) -> str:
    found = _edit_manifest(store, key, project="flights")
    _resign(store, key)
    return found


def _an_older_versions_manifest(store: MemoryStore, key: Key, digest: str) -> str:
    found = _edit_manifest(store, key, version=2)
    _resign(store, key)
    return found


def _unlisted_model(store: MemoryStore, key: Key, digest: str) -> str:
    files = json.loads(store.get(f"{FOLDER}/manifest.json"))["files"]
    found = _edit_manifest(store, key, files={"interface.json": files["interface.json"]})
    _resign(store, key)
    return found


@pytest.mark.parametrize(
    ("tamper", "error"),
    [
        (_other_model, IntegrityError),
        (_other_interface, IntegrityError),
        (_other_manifest, IntegrityError),
        (_other_manifest_and_endpoint, SignatureInvalid),
        (_other_signature, SignatureInvalid),
        (_garbled_signature, SignatureInvalid),
        (_own_key, SignatureInvalid),
        (_own_key_under_a_trusted_name, SignatureInvalid),
        (_no_key_named, SignatureInvalid),
        (_another_projects_manifest, IntegrityError),
        (_an_older_versions_manifest, IntegrityError),
        (_unlisted_model, IntegrityError),
    ],
)
def test_a_version_that_was_tampered_with_is_refused(
    store: MemoryStore, tamper: Callable[[MemoryStore, Key, str], str], error: type[DriftlessError]
) -> None:
    key = Key()
    digest = tamper(store, key, publish(store, PROJECT, 3, key))
    with pytest.raises(error):
        load(store, digest)


def test_a_version_that_is_not_there_is_not_found(store: MemoryStore) -> None:
    with pytest.raises(NotFound):
        load(store, "0" * 64, version=4)


def test_files_are_read_against_their_digests_without_a_signature(store: MemoryStore) -> None:
    manifest, content = read_manifest(store, "demo", 3, publish(store, PROJECT, 3, Key()))
    assert json.loads(content) == manifest.model_dump(mode="json")
    assert json.loads(read_file(store, manifest, "interface.json"))["project"] == "demo"
    store.put(f"{FOLDER}/interface.json", b"{}")
    with pytest.raises(IntegrityError, match="sha256"):
        read_file(store, manifest, "interface.json")


def test_a_version_sealed_by_an_earlier_or_a_later_release_still_verifies(store: MemoryStore) -> None:
    """Digest and signature are over the bytes: no spelling of a time, and no key this release does not know, breaks them."""
    key = Key()
    publish(store, PROJECT, 3, key)
    digest = _edit_manifest(store, key, created_at="2026-01-01T00:00:00+00:00", approved_by="a later release")
    _resign(store, key)
    _, manifest = load(store, digest)
    assert manifest.created_at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert manifest.model_dump(mode="json")["approved_by"] == "a later release"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"files": {"model.onnx": 7}}, "files.model.onnx"),
        ({"schema": 2}, "schema"),
        ({"train_end": "spring"}, "train_end"),
    ],
)
def test_an_invalid_manifest_is_an_error_that_names_its_key(store: MemoryStore, changes: dict[str, Any], named: str) -> None:
    publish(store, PROJECT, 3, Key())
    with pytest.raises(IntegrityError, match=f"models/demo/3/manifest.json .*: {named}: "):
        read_manifest(store, "demo", 3, _edit_manifest(store, Key(), **changes))


def test_a_manifest_without_a_key_its_readers_need_names_it(store: MemoryStore) -> None:
    publish(store, PROJECT, 3, Key())
    whole = json.loads(store.get(f"{FOLDER}/manifest.json"))
    for key in sorted(set(whole) - {"schema"}):
        store.put(f"{FOLDER}/manifest.json", json.dumps({name: value for name, value in whole.items() if name != key}).encode())
        with pytest.raises(IntegrityError, match=rf": {key}: "):
            parse_manifest(f"{FOLDER}/manifest.json", store.get(f"{FOLDER}/manifest.json"))
