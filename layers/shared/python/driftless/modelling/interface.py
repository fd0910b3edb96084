"""``interface.json`` of a model version: what its ONNX graph reads and returns.

Training writes it, and everyone who loads a model reads it. A version outlives the code that wrote it, so keys that a later
release added are ignored, and a missing key is an error. It is a dataclass rather than a pydantic record, because serving reads
it at a cold start and building validators would cost more than the parsing. It needs no numpy, because registration reads version
files without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar, cast, get_args

from driftless.definition.project import Project
from driftless.definition.section import Task
from driftless.errors import IntegrityError

Dtype = Literal["float", "string"]
_KINDS: dict[Dtype, str] = {"float": "a number", "string": "a category"}

T = TypeVar("T")


@dataclass(frozen=True)
class InterfaceFeature:
    """A feature as the project defined it when the model was fitted."""

    name: str
    type: str
    nullable: bool
    range: tuple[float | None, float | None] | None
    allowed: tuple[str, ...] | None
    pii: bool


@dataclass(frozen=True)
class ModelInput:
    """One tensor of shape (n, 1) that the graph reads, the feature it holds, and its type."""

    name: str
    feature: str
    dtype: Dtype


@dataclass(frozen=True)
class ModelOutputs:
    """Names of the graph's outputs; ``label`` is None for regression."""

    label: str | None
    scores: str


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs of a model.

    Attributes
    ----------
    classes : tuple of str or None
        In the order of the probabilities; None for regression.
    event_time : str
        The event-time column of the training set.
    """

    project: str
    task: Task
    features: tuple[InterfaceFeature, ...]
    classes: tuple[str, ...] | None
    event_time: str
    inputs: tuple[ModelInput, ...]
    outputs: ModelOutputs

    def to_json(self) -> bytes:
        """The content of ``interface.json``."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()


def dtype_of(feature_type: str) -> Dtype:
    """The tensor type of a feature type of ``project.toml``."""
    return "string" if feature_type == "category" else "float"


def unfit(wanted: Mapping[str, Dtype], given: Mapping[str, Dtype]) -> str:
    """Why a model with these inputs cannot read these columns, in words; empty when it can."""
    missing = sorted(set(wanted) - set(given))
    changed = sorted(name for name, dtype in wanted.items() if name in given and given[name] != dtype)
    said = [f"there is no {', '.join(missing)}"] if missing else []
    said += [f"{name} is {_KINDS[given[name]]}, it was fitted on {_KINDS[wanted[name]]}" for name in changed]
    return "; ".join(said)


def interface_features(project: Project) -> tuple[InterfaceFeature, ...]:
    """The project's features as an interface describes them."""
    return tuple(
        InterfaceFeature(
            name=name,
            type=column.type,
            nullable=column.nullable,
            range=column.range,
            allowed=tuple(column.allowed) if column.allowed is not None else None,
            pii=column.pii,
        )
        for name, column in project.features.columns.items()
    )


def feature_inputs(project: Project) -> tuple[ModelInput, ...]:
    """One input for each feature, of the feature's name."""
    return tuple(ModelInput(name, name, dtype_of(column.type)) for name, column in project.features.columns.items())


def parse_interface(key: str, content: bytes) -> Interface:
    """Read an ``interface.json``.

    Parameters
    ----------
    key : str
        Where it was read from, for the message.

    Raises
    ------
    IntegrityError
        When it is not JSON, a key is missing, or a value has another type.
    """
    try:
        found = json.loads(content)
        inputs = tuple(_known(ModelInput, item) for item in found["inputs"])
        classes = found["classes"]
        if found["task"] not in get_args(Task) or not all(item.dtype in get_args(Dtype) for item in inputs):
            raise ValueError("an unknown task or dtype")
        return Interface(
            project=found["project"],
            task=found["task"],
            features=tuple(_feature(item) for item in found["features"]),
            classes=None if classes is None else tuple(classes),
            event_time=found["event_time"],
            inputs=inputs,
            outputs=_known(ModelOutputs, found["outputs"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{key} is not an interface that this release reads: {error!r}") from error


def _known(kind: type[T], item: Mapping[str, Any]) -> T:
    """A dataclass from the keys it has; further keys are ignored."""
    return kind(**{field.name: item[field.name] for field in fields(cast(Any, kind))})


def _feature(item: Mapping[str, Any]) -> InterfaceFeature:
    lists = {name: None if item[name] is None else tuple(item[name]) for name in ("range", "allowed")}
    return _known(InterfaceFeature, {**item, **lists})
