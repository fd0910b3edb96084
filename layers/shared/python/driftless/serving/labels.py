"""Accept labels: the ground truth of predictions, whenever it is known, late and repeated labels included.

The project's task defines the type of a label. Each request is stored as one object. Monitoring joins labels to predictions by
id when it reads them, so a label is accepted before its prediction has been collected.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta

from pydantic_core import CoreSchema, SchemaValidator, ValidationError, core_schema

from driftless.core.iso_time import time_schema
from driftless.core.layout.lake import labels_file
from driftless.core.problem import FieldError, InvalidRequest, Problem, Unavailable, problem_of
from driftless.definition.project import Project
from driftless.errors import RetryableError
from driftless.ports import Clock, ObjectWriter
from driftless.records import Label
from driftless.serving.http import Request, Response

MAX_LABELS = 1000
_CLOCK_SKEW = timedelta(minutes=5)


def label_validator(project: Project) -> SchemaValidator:
    """Compiled validator of a request body ``{"labels": [{"id", "label", "observed_at"?}, …]}``."""
    fields = {
        "id": core_schema.typed_dict_field(core_schema.str_schema(strict=True, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")),
        "label": core_schema.typed_dict_field(_label_schema(project)),
        "observed_at": core_schema.typed_dict_field(time_schema(), required=False),
    }
    item = core_schema.typed_dict_schema(fields, extra_behavior="forbid")
    labels = core_schema.list_schema(item, min_length=1, max_length=MAX_LABELS, strict=True)
    return SchemaValidator(
        core_schema.typed_dict_schema({"labels": core_schema.typed_dict_field(labels)}, extra_behavior="forbid")
    )


def _label_schema(project: Project) -> CoreSchema:
    if project.task == "binary":
        return core_schema.bool_schema(strict=True)
    if project.task == "multiclass":
        return core_schema.literal_schema([*(project.target.classes or ())])
    return core_schema.float_schema(strict=True, allow_inf_nan=False)


class AcceptLabels:
    """Validates and stores the labels of a request.

    Parameters
    ----------
    lake : ObjectWriter
        The lake bucket.
    projects : mapping of name to Project
    clock : callable
        Timezone-aware now.
    new_id : callable
        A unique name for each accepted request.
    """

    def __init__(self, *, lake: ObjectWriter, projects: Mapping[str, Project], clock: Clock, new_id: Callable[[], str]) -> None:
        self._lake, self._clock, self._new_id = lake, clock, new_id
        self._validators = {name: label_validator(project) for name, project in projects.items()}

    def __call__(self, project: str, body: bytes) -> int:
        """Store the labels of one request and return their number.

        Raises
        ------
        InvalidRequest
            When there is no such project, the body breaks the schema, or an observation lies in the future (the latest
            observation of an id counts, so a future one would block every correction).
        StoreUnavailable, Throttled
            When they could not be stored; none is stored then.
        """
        if project not in self._validators:
            raise InvalidRequest(Problem(404, f"no such project: {project[:80]}"))
        try:
            items = self._validators[project].validate_json(body)["labels"]
        except ValidationError as error:
            raise InvalidRequest(problem_of(error)) from error
        now = self._clock()
        labels = []
        for index, item in enumerate(items):
            observed = item.get("observed_at", now)
            if observed > now + _CLOCK_SKEW:
                late = FieldError(f"labels[{index}].observed_at", "lies in the future")
                raise InvalidRequest(Problem(422, "1 field breaks the request schema", (late,)))
            labels.append(Label(id=item["id"], project=project, label=item["label"], observed_at=observed, received_at=now))
        content = "".join(label.model_dump_json() + "\n" for label in labels).encode()
        key = labels_file(project, now.date(), self._new_id())
        self._lake.put(key, content, content_type="application/x-ndjson")
        return len(labels)


def respond(accept: AcceptLabels, request: Request) -> Response:
    """The response to ``POST …/{project}/labels``: 202 with the number of labels accepted.

    The project is the segment before the last, so that a base path in front of it does not matter.

    Raises
    ------
    InvalidRequest
        As :class:`AcceptLabels`.
    Unavailable
        When the labels could not be stored.
    """
    project = "".join(request.path.strip("/").split("/")[-2:-1])
    try:
        count = accept(project, request.body)
    except RetryableError as error:
        raise Unavailable("the labels could not be stored, none of them; send the request again") from error
    return Response(202, json.dumps({"accepted": count}).encode())
