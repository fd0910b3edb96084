"""interface.json: written as before, read from literal old files, refused when something is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftless.errors import IntegrityError
from driftless.modelling.interface import Interface, ModelInput, ModelOutputs, feature_inputs, interface_features, parse_interface
from tests.unit.modelling.projects import definition

COLUMNS: dict[str, Any] = {
    "temp": {"type": "number", "nullable": True, "range": [-60, 140.5]},
    "origin": {"type": "category", "allowed": ["EWR", "JFK"]},
    "name": {"type": "category", "nullable": True, "pii": True, "allowed": ["Ada"]},
}
# As training wrote it before interfaces were a type of their own, byte for byte.
OLD = """\
{
 "classes": [
  "no",
  "yes"
 ],
 "event_time": "at",
 "features": [
  {
   "allowed": null,
   "name": "temp",
   "nullable": true,
   "pii": false,
   "range": [
    -60.0,
    140.5
   ],
   "type": "number"
  },
  {
   "allowed": [
    "EWR",
    "JFK"
   ],
   "name": "origin",
   "nullable": false,
   "pii": false,
   "range": null,
   "type": "category"
  },
  {
   "allowed": [
    "Ada"
   ],
   "name": "name",
   "nullable": true,
   "pii": true,
   "range": null,
   "type": "category"
  }
 ],
 "inputs": [
  {
   "dtype": "float",
   "feature": "temp",
   "name": "temp"
  },
  {
   "dtype": "string",
   "feature": "origin",
   "name": "origin"
  },
  {
   "dtype": "string",
   "feature": "name",
   "name": "name"
  }
 ],
 "outputs": {
  "label": "label",
  "scores": "probabilities"
 },
 "project": "demo",
 "task": "multiclass"
}"""


def test_the_interface_of_a_project_is_the_old_file_byte_for_byte() -> None:
    project = definition("multiclass", features={"base": "events", "columns": COLUMNS})
    interface = Interface(
        project=project.name,
        task=project.task,
        features=interface_features(project),
        classes=("no", "yes"),
        event_time="at",
        inputs=feature_inputs(project),
        outputs=ModelOutputs("label", "probabilities"),
    )
    assert interface.to_json() == OLD.encode()


def test_an_old_file_is_read_and_written_back_unchanged() -> None:
    interface = parse_interface("interface.json", OLD.encode())
    assert (interface.task, interface.classes, interface.event_time) == ("multiclass", ("no", "yes"), "at")
    assert interface.inputs[0] == ModelInput("temp", "temp", "float")
    assert interface.features[0].range == (-60, 140.5) and interface.features[2].pii
    assert interface.to_json() == OLD.encode()


def test_regression_has_neither_classes_nor_a_label() -> None:
    old = {**json.loads(OLD), "task": "regression", "classes": None, "outputs": {"label": None, "scores": "variable"}}
    interface = parse_interface("interface.json", json.dumps(old).encode())
    assert (interface.classes, interface.outputs) == (None, ModelOutputs(None, "variable"))
    assert json.loads(interface.to_json()) == old


def test_keys_of_a_later_release_are_ignored() -> None:
    later = json.loads(OLD)
    later["later"] = later["outputs"]["later"] = later["inputs"][0]["later"] = later["features"][0]["later"] = 1
    assert parse_interface("interface.json", json.dumps(later).encode()).to_json() == OLD.encode()


@pytest.mark.parametrize("key", sorted(json.loads(OLD)))
def test_a_missing_key_is_an_integrity_error_that_names_file_and_key(key: str) -> None:
    found = {name: value for name, value in json.loads(OLD).items() if name != key}
    with pytest.raises(IntegrityError, match=rf"^models/demo/1/interface\.json .*{key}"):
        parse_interface("models/demo/1/interface.json", json.dumps(found).encode())


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '"text"', OLD.replace("multiclass", "ranking"), OLD.replace("string", "int64")],
)
def test_other_content_is_an_integrity_error(content: str) -> None:
    with pytest.raises(IntegrityError, match="is not an interface"):
        parse_interface("interface.json", content.encode())
