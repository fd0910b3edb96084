"""The prediction request of a project, derived from its feature definitions in two forms that a test compares.

:func:`request_schema` is JSON Schema (draft 4, which API Gateway's models use) for the gateway, OpenAPI and people.
:func:`request_validator` is the compiled validator of the inference function, which parses and checks JSON in one pass. Types are
strict: ``"3"`` is not a number, ``1`` is not a boolean, ``3.0`` is not an integer. A nullable feature may be left out, which
means null. Any other feature is required, and an unknown field is an error.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import CoreSchema, SchemaValidator, core_schema

from driftless.core.iso_time import time_schema
from driftless.definition.features import FeatureColumn
from driftless.definition.project import Project
from driftless.modelling.inputs import PROVEN

MAX_TEXT = 1024
MAX_KEY = 256
ROUTING_KEY = "key"


def event_time_column(project: Project) -> str | None:
    """Name of the optional event-time field of a record; None when a feature already has that name."""
    name = project.datasets[project.features.base].event_time
    return None if name in project.features.columns else name


def has_routing_key(project: Project) -> bool:
    """Whether a record may have the optional routing ``key`` (a feature of that name is used for routing itself)."""
    return ROUTING_KEY not in project.features.columns


def request_validator(project: Project) -> SchemaValidator:
    """Compiled validator of a request body; ``validate_json`` yields ``{"records": [{feature: value}, …]}``."""
    fields: dict[str, core_schema.TypedDictField] = {}
    for name, feature in project.features.columns.items():
        schema = _value_schema(feature)
        if feature.nullable:
            fields[name] = core_schema.typed_dict_field(core_schema.nullable_schema(schema), required=False)
        else:
            fields[name] = core_schema.typed_dict_field(schema)
    when = event_time_column(project)
    if when is not None:
        fields[when] = core_schema.typed_dict_field(time_schema(), required=False)
    if has_routing_key(project):
        key = core_schema.str_schema(strict=True, max_length=MAX_KEY)
        fields[ROUTING_KEY] = core_schema.typed_dict_field(key, required=False)
    record = core_schema.typed_dict_schema(fields, extra_behavior="forbid")
    records = core_schema.list_schema(record, min_length=1, max_length=project.serving.max_records, strict=True)
    body = core_schema.typed_dict_schema({"records": core_schema.typed_dict_field(records)}, extra_behavior="forbid")
    return SchemaValidator(body)


def request_schema(project: Project) -> dict[str, Any]:
    """JSON Schema (draft 4) of a request body, for API Gateway's request models and OpenAPI."""
    properties = {name: _json_schema(feature) for name, feature in project.features.columns.items()}
    required = [name for name, feature in project.features.columns.items() if not feature.nullable]
    when = event_time_column(project)
    if when is not None:
        described = "when it happens (default: now)"
        properties[when] = {"type": "string", "format": "date-time", "maxLength": 40, "description": described}
    if has_routing_key(project):
        described = "records of equal key are answered by the same model during a canary"
        properties[ROUTING_KEY] = {"type": "string", "maxLength": MAX_KEY, "description": described}
    record: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        record["required"] = required
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": f"{project.title}: prediction request",
        "type": "object",
        "properties": {"records": {"type": "array", "minItems": 1, "maxItems": project.serving.max_records, "items": record}},
        "required": ["records"],
        "additionalProperties": False,
    }


def _value_schema(feature: FeatureColumn) -> CoreSchema:
    low, high = _bounds(feature)
    if feature.type == "number":
        return core_schema.float_schema(strict=True, allow_inf_nan=False, ge=low, le=high)
    if feature.type == "integer":
        return core_schema.no_info_after_validator_function(_Bounds(low, high), core_schema.int_schema(strict=True))
    if feature.type == "boolean":
        return core_schema.bool_schema(strict=True)
    if feature.allowed is not None:
        return core_schema.literal_schema([*feature.allowed])
    return core_schema.str_schema(strict=True, max_length=MAX_TEXT)


def _bounds(feature: FeatureColumn) -> tuple[float, float]:
    """The smallest and the largest number that a client may send: the feature's range, or what the parity gate tests."""
    low, high = feature.range or (None, None)
    return (-PROVEN if low is None else low), (PROVEN if high is None else high)


class _Bounds:
    """Checks an integer against bounds that may be fractions, which pydantic's integer bounds may not."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __call__(self, value: int) -> int:
        if not self.low <= value <= self.high:
            raise ValueError(f"Input should lie between {self.low:g} and {self.high:g}")
        return value


def _json_schema(feature: FeatureColumn) -> dict[str, Any]:
    kind = "string" if feature.type == "category" else feature.type
    schema: dict[str, Any] = {"type": [kind, "null"] if feature.nullable else kind}
    if feature.type in ("number", "integer"):
        schema["minimum"], schema["maximum"] = _bounds(feature)
    if feature.type == "category":
        if feature.allowed is None:
            schema["maxLength"] = MAX_TEXT
        else:
            schema["enum"] = [*feature.allowed, *([None] if feature.nullable else [])]
    if feature.description:
        schema["description"] = feature.description
    return schema
