"""Small real models for tests: hand-made ONNX graphs, signed and laid out as registration lays them out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import onnx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from onnx import TensorProto, helper

from driftless.definition.project import Project
from driftless.modelling.interface import Interface, ModelOutputs, feature_inputs, interface_features
from driftless.modelling.manifest import Manifest
from driftless.ports import ObjectStore
from driftless.records import Endpoint, Ref


class Key:
    """A signing key as KMS would hold it."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.fingerprint = hashlib.sha256(self.public).hexdigest()

    def sign(self, content: bytes) -> bytes:
        return self._key.sign(content, ec.ECDSA(hashes.SHA256()))


def graph(project: Project, *, bias: float = 0.0) -> tuple[bytes, Interface]:
    """A linear model of the first numeric feature: its bytes and its interface."""
    inputs = tuple(replace(item, name=f"in_{item.feature}") for item in feature_inputs(project))
    first = next(item.name for item in inputs if item.dtype == "float")
    values = [
        helper.make_tensor_value_info(item.name, TensorProto.STRING if item.dtype == "string" else TensorProto.FLOAT, [None, 1])
        for item in inputs
    ]
    constants = [
        helper.make_tensor("bias", TensorProto.FLOAT, [1], [bias]),
        helper.make_tensor("one", TensorProto.FLOAT, [1], [1]),
    ]
    constants.append(helper.make_tensor("half", TensorProto.FLOAT, [1], [0.5]))
    constants.append(helper.make_tensor("zero", TensorProto.FLOAT, [1], [0]))
    nodes = [
        helper.make_node("IsNaN", [first], ["missing"]),
        helper.make_node("Where", ["missing", "zero", first], ["x"]),
        helper.make_node("Add", ["x", "bias"], ["z"]),
    ]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, None])]
    classes: list[str] | None = None
    if project.task == "regression":
        nodes.append(helper.make_node("Identity", ["z"], ["scores"]))
    else:
        nodes += [
            helper.make_node("Sigmoid", ["z"], ["p"]),
            helper.make_node("Sub", ["one", "p"], ["q"]),
            helper.make_node("Concat", ["q", "p"], ["scores"], axis=1),
        ]
        if project.task == "binary":
            classes = ["false", "true"]
            nodes += [
                helper.make_node("Greater", ["p", "half"], ["hit"]),
                helper.make_node("Squeeze", ["hit", "axis"], ["label"]),
            ]
            constants.append(helper.make_tensor("axis", TensorProto.INT64, [1], [1]))
            outputs.append(helper.make_tensor_value_info("label", TensorProto.BOOL, [None]))
        else:
            classes = list(project.target.classes or ())
            assert len(classes) == 2
            constants.append(helper.make_tensor("names", TensorProto.STRING, [2], [name.encode() for name in classes]))
            nodes += [
                helper.make_node("ArgMax", ["scores"], ["position"], axis=1, keepdims=0),
                helper.make_node("Gather", ["names", "position"], ["label"]),
            ]
            outputs.append(helper.make_tensor_value_info("label", TensorProto.STRING, [None]))
    made = helper.make_graph(nodes, "linear", values, outputs, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    outputs_named = ModelOutputs(None if project.task == "regression" else "label", "scores")
    return model.SerializeToString(), Interface(
        project=project.name,
        task=project.task,
        features=interface_features(project),
        classes=None if classes is None else tuple(classes),
        event_time="at",
        inputs=inputs,
        outputs=outputs_named,
    )


DAY = datetime(2026, 1, 1, tzinfo=UTC)


def manifest(project: str, version: int, files: Mapping[str, bytes], **fields: Any) -> Manifest:
    """The manifest of a version that holds these files; fields that do not matter to a test are made up."""
    nowhere = Ref(key="runs/nowhere", sha256="0" * 64, size=1)
    made_up: dict[str, Any] = {
        "run_id": f"run-{version}",
        "execution_arn": "",
        "created_at": DAY,
        "decision": "promote",
        "compared_with": None,
        "tables": [],
        "train": nowhere,
        "holdout": nowhere,
        "train_rows": 200,
        "holdout_rows": 100,
        "train_start": DAY,
        "train_end": DAY,
        "holdout_end": DAY,
        "features_digest": "",
        "git_commit": "abc123",
        "dependencies": {},
        "dependencies_sha256": "",
        "parameters": {},
        "metrics": {},
        "expected": {},
        "evaluation": nowhere,
        "signing_key": "",
    }
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return Manifest(project=project, version=version, files=digests, **(made_up | fields))


def publish(store: ObjectStore, project: Project, version: int, key: Key, *, bias: float = 0.0) -> str:
    """Write one signed version with its key under trust/; the digest of its manifest."""
    content, interface = graph(project, bias=bias)
    files = {"model.onnx": content, "interface.json": interface.to_json()}
    made = manifest(project.name, version, files, signing_key=key.fingerprint, metrics={project.gates.primary: 0.5})
    files["manifest.json"] = made.model_dump_json().encode()
    files["manifest.sig"] = key.sign(files["manifest.json"])
    for name, data in files.items():
        store.put(f"models/{project.name}/{version}/{name}", data)
    store.put(f"trust/{key.fingerprint}.der", key.public)
    return hashlib.sha256(files["manifest.json"]).hexdigest()


def point(store: ObjectStore, project: Project, manifests: dict[int, str], **fields: Any) -> Endpoint:
    """Write the endpoint's copy."""
    endpoint = Endpoint(
        project=project.name,
        manifests={str(version): digest for version, digest in manifests.items()},
        **{"updated_at": DAY, **fields},
    )
    store.put(f"serving/{project.name}/endpoint.json", endpoint.model_dump_json().encode())
    return endpoint
