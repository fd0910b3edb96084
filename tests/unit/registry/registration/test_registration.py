"""Registration: what a version holds, that it verifies, and that a crash anywhere changes nothing in the end."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError

from driftless.adapters.ecdsa import EcdsaVerifier
from driftless.errors import Conflict, IntegrityError
from driftless.modelling.version_files import read_manifest
from driftless.records import GateDecision, Ref, RunFacts
from driftless.registry.registration import Register
from driftless.testing.memory import MemoryStore
from driftless.testing.memory_registry import MemoryRegistry, MemorySigner
from tests.unit.registry.registration.scene import Clock, flights, request


class Scene:
    """A bucket, a registry, a key, and the stage over them."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = Clock()
        self.registry = MemoryRegistry(clock=self.clock)
        self.signer = MemorySigner()

    def register(self, store: Any = None, registry: Any = None, signer: Any = None) -> Register:
        return Register(
            artifacts=store or self.store,
            registry=registry or self.registry,
            signer=signer or self.signer,
            projects={"flights": flights()},
            clock=self.clock,
        )

    def folder(self) -> dict[str, bytes]:
        return {key: self.store.get(key) for key in [*self.store.list("models/"), *self.store.list("trust/")]}


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_version_is_a_folder_whose_manifest_names_every_file(scene: Scene) -> None:
    record = scene.register()(request(scene.store))
    assert (record.version, record.prefix, record.decision) == (1, "models/flights/1", "promote")
    manifest = json.loads(scene.store.get("models/flights/1/manifest.json"))
    names = {"model.onnx", "model.joblib", "baseline.json", "interface.json", "card.json", "card.md"}
    assert set(scene.store.list("models/flights/1/")) == {
        f"models/flights/1/{name}" for name in names | {"manifest.json", "manifest.sig"}
    }
    assert set(manifest["files"]) == names
    for name, recorded in manifest["files"].items():
        assert hashlib.sha256(scene.store.get(f"models/flights/1/{name}")).hexdigest() == recorded
    assert manifest["tables"] == [{"dataset": "flights", "table": "tables/flights/flights", "version": 4, "rows": 1000}]
    assert manifest["git_commit"] == "abc123"
    assert manifest["features_digest"] == "f" * 64
    assert manifest["dependencies_sha256"] == hashlib.sha256(b"numpy==2.4.1\nscikit-learn==1.9.0\n").hexdigest()
    assert manifest["metrics"] == {"log_loss": 0.513, "auc": 0.69}
    assert manifest["parameters"] == {"learning_rate": 0.05}
    assert manifest["train_end"] == "2013-04-01T00:00:00Z"


KEYS = """
compared_with created_at decision dependencies dependencies_sha256 evaluation execution_arn expected
features_digest files git_commit holdout holdout_end holdout_rows metrics parameters project run_id schema
signing_key tables train train_end train_rows train_start version
"""


def test_the_manifest_keeps_its_keys_and_its_canonical_form(scene: Scene) -> None:
    """Versions of earlier releases are read by later ones, and the other way round while functions are rolled out."""
    record = scene.register()(request(scene.store, expected={"log_loss": 0.5}))
    sealed = scene.store.get("models/flights/1/manifest.json")
    manifest = json.loads(sealed)
    assert sorted(manifest) == KEYS.split()
    assert manifest["schema"] == 1 and manifest["expected"] == {"log_loss": 0.5}
    assert sealed.decode() == json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    assert manifest["run_id"] == "run-1" and manifest["execution_arn"] == "arn:run-1"
    assert read_manifest(scene.store, "flights", 1, record.manifest_sha256)[0].files == manifest["files"]


def test_a_metric_that_json_cannot_hold_is_refused_before_anything_is_sealed(scene: Scene) -> None:
    with pytest.raises(ValidationError, match=r"metrics\.auc"):
        scene.register()(request(scene.store, metrics={"log_loss": 0.5, "auc": float("nan")}))
    assert scene.store.list("models/flights/1/manifest") == []


def test_the_manifest_verifies_offline_with_the_key_under_trust(scene: Scene) -> None:
    record = scene.register()(request(scene.store))
    sealed = scene.store.get("models/flights/1/manifest.json")
    key = scene.store.get(f"trust/{record.signing_key}.der")
    assert hashlib.sha256(key).hexdigest() == record.signing_key == json.loads(sealed)["signing_key"]
    assert hashlib.sha256(sealed).hexdigest() == record.manifest_sha256
    EcdsaVerifier().verify(key, sealed, scene.store.get("models/flights/1/manifest.sig"))


def test_the_registry_has_the_version_and_the_run_its_number(scene: Scene) -> None:
    record = scene.register()(request(scene.store, champion_version=None))
    found = scene.registry.version("flights", 1)
    assert (found.run_id, found.source, found.manifest_sha256) == ("run-1", "models/flights/1", record.manifest_sha256)
    assert found.tags == {"git_commit": "abc123", "compared_with": ""}
    assert scene.registry.run("flights", "run-1").version == 1
    assert [event.action for event in scene.registry.audit("flights")] == ["register"]


@pytest.mark.parametrize("decision", ["refuse", "await_approval"])
def test_what_is_not_promoted_is_registered_too(scene: Scene, decision: GateDecision) -> None:
    assert scene.register()(request(scene.store, decision=decision)).decision == decision
    assert scene.registry.version("flights", 1).decision == decision
    assert scene.registry.endpoint("flights").champion is None


def test_a_rerun_returns_the_same_version_and_writes_nothing(scene: Scene) -> None:
    first = scene.register()(request(scene.store))
    before, versions = scene.folder(), {key: scene.store.version_ids(key) for key in scene.folder()}
    assert scene.register()(request(scene.store)) == first
    assert scene.folder() == before
    assert {key: scene.store.version_ids(key) for key in scene.folder()} == versions
    assert len(scene.registry.audit("flights")) == 1


def test_runs_get_versions_of_their_own(scene: Scene) -> None:
    assert scene.register()(request(scene.store, "run-1")).version == 1
    assert scene.register()(request(scene.store, "run-2")).version == 2
    assert scene.store.get("models/flights/1/model.onnx") != scene.store.get("models/flights/2/model.onnx")


class Crash(Exception):
    """The process dies here."""


class Faulty:
    """A port that dies at its nth write, before or after doing it; reads pass."""

    writes = frozenset({"put", "reserve_version", "create_version", "record_run", "sign"})

    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port, self._fuse = port, fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name not in self.writes:
            return method

        def call(*arguments: Any, **named: Any) -> Any:
            self._fuse.burn("before")
            result = method(*arguments, **named)
            self._fuse.burn("after")
            return result

        return call


class Fuse:
    """Counts the writes of an attempt and dies at one of them."""

    def __init__(self, at: int, when: str) -> None:
        self._at, self._when, self.seen = at, when, 0

    def burn(self, when: str) -> None:
        self.seen += when == "before"
        if self.seen == self._at and when == self._when:
            raise Crash


def attempt(scene: Scene, fuse: Fuse) -> Any:
    stage = scene.register(Faulty(scene.store, fuse), Faulty(scene.registry, fuse), Faulty(scene.signer, fuse))
    return stage(request(scene.store))


def count_writes() -> int:
    fuse = Fuse(at=-1, when="before")
    attempt(Scene(), fuse)
    return fuse.seen


def test_every_write_is_under_fault_injection() -> None:
    assert count_writes() == 14


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, 15))
def test_a_crash_at_any_write_recovers(at: int, when: str) -> None:
    scene = Scene()
    with pytest.raises(Crash):
        attempt(scene, Fuse(at, when))
    after_crash = scene.folder()
    sealed = after_crash.get("models/flights/1/manifest.json")
    record = scene.register()(request(scene.store))

    manifest_bytes = scene.store.get("models/flights/1/manifest.json")
    manifest = json.loads(manifest_bytes)
    assert sealed in (None, manifest_bytes)
    for name, recorded in manifest["files"].items():
        assert hashlib.sha256(scene.store.get(f"models/flights/1/{name}")).hexdigest() == recorded
    for key, content in after_crash.items():
        assert scene.store.get(key) == content, f"{key} was replaced by a retry of the same run"
    EcdsaVerifier().verify(
        scene.store.get(f"trust/{record.signing_key}.der"), manifest_bytes, scene.store.get("models/flights/1/manifest.sig")
    )
    assert [version.version for version in scene.registry.versions("flights")] == [1]
    assert scene.registry.version("flights", 1).manifest_sha256 == record.manifest_sha256
    assert len(scene.registry.audit("flights")) == 1
    assert scene.registry.run("flights", "run-1").version == 1


def test_a_run_trained_again_before_the_seal_replaces_what_was_left(scene: Scene) -> None:
    with pytest.raises(Crash):
        attempt(scene, Fuse(6, "after"))
    changed = request(scene.store)
    onnx = scene.store.put("runs/flights/run-1/model/onnx", b"another fit")
    scene.register()(changed.model_copy(update={"model": changed.model.model_copy(update={"onnx": onnx})}))
    manifest = json.loads(scene.store.get("models/flights/1/manifest.json"))
    assert manifest["files"]["model.onnx"] == onnx.sha256
    assert scene.store.get("models/flights/1/model.onnx") == b"another fit"


def test_after_the_seal_nothing_is_replaced(scene: Scene) -> None:
    first = scene.register()(request(scene.store))
    changed = request(scene.store, decision="refuse")
    onnx = scene.store.put("runs/flights/run-1/model/onnx", b"another fit")
    again = scene.register()(changed.model_copy(update={"model": changed.model.model_copy(update={"onnx": onnx})}))
    assert again == first
    assert scene.store.get("models/flights/1/model.onnx") == b"run-1 onnx"


def test_a_run_with_another_decision_at_its_next_attempt_keeps_the_sealed_one(scene: Scene) -> None:
    sealed = request(scene.store, decision="refuse", reasons=["not surely better"])
    scene.register()(sealed)
    scene.registry.record_run(sealed.run, RunFacts(decision="promote", reasons=["better"], metrics={}, evaluation="other"))
    assert scene.register()(request(scene.store, decision="promote", reasons=["better"])).decision == "refuse"
    found = scene.registry.run("flights", "run-1")
    assert (found.decision, found.reasons) == ("refuse", ["not surely better"])
    assert found.metrics == {"log_loss": 0.513, "auc": 0.69}
    assert found.evaluation == sealed.evaluation.report.key


def test_a_file_that_is_not_what_the_run_recorded_is_refused(scene: Scene) -> None:
    registration = request(scene.store)
    scene.store.put("runs/flights/run-1/model/onnx", b"swapped")
    with pytest.raises(IntegrityError, match="runs/flights/run-1/model/onnx has sha256"):
        scene.register()(registration)
    assert scene.store.list("models/flights/1/manifest") == []


def test_another_key_cannot_finish_what_one_key_sealed(scene: Scene) -> None:
    with pytest.raises(Crash):
        attempt(scene, Fuse(10, "before"))
    assert scene.store.list("models/flights/1/manifest") == ["models/flights/1/manifest.json"]
    with pytest.raises(IntegrityError, match="the registration key is"):
        scene.register(signer=MemorySigner())(request(scene.store))


def test_two_attempts_at_once_end_in_one_sealed_version(scene: Scene) -> None:
    """The slower one loses as a Conflict, which is retried and then returns what the faster one registered."""
    registration = request(scene.store)

    class Overtaken(MemoryStore):
        def __init__(self, store: MemoryStore) -> None:
            self._store, self.done = store, False

        def list(self, prefix: str) -> list[str]:
            there = self._store.list(prefix)
            if not self.done:
                self.done = True
                scene.register()(registration)
            return there

        def get(self, key: str) -> bytes:
            return self._store.get(key)

        def put(self, key: str, content: bytes, **named: Any) -> Ref:
            return self._store.put(key, content, **named)

    slower = scene.register(Overtaken(scene.store))
    with pytest.raises(Conflict):
        slower(registration)
    assert scene.register()(registration).version == 1
    assert [version.version for version in scene.registry.versions("flights")] == [1]
    for name, recorded in json.loads(scene.store.get("models/flights/1/manifest.json"))["files"].items():
        assert hashlib.sha256(scene.store.get(f"models/flights/1/{name}")).hexdigest() == recorded
