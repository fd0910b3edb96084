"""Error responses of the HTTP API: RFC 9457 problem details that name each wrong field.

Both public endpoints (predictions and labels) validate JSON with pydantic's core; :func:`problem_of` turns its complaint into a
problem. Nothing of the request is echoed besides field names, and those shortened, so an error response cannot leak data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic_core import ValidationError

from driftless.errors import BadRequest, StoreUnavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
"""When a client should send a request again that could not be served now."""
_SHOWN_ERRORS = 20
_SHOWN_NAME = 80


@dataclass(frozen=True)
class FieldError:
    """One field (``records[0].temp``; empty for the body as a whole) and what is wrong with it."""

    field: str
    reason: str


@dataclass(frozen=True)
class Problem:
    """One response of media type ``application/problem+json``; ``retry_after`` in seconds when trying again may help."""

    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()
    retry_after: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The members RFC 9457 names, and ``errors``."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "errors": [{"field": item.field, "reason": item.reason} for item in self.errors],
        }

    def body(self) -> bytes:
        """JSON in ASCII: a field name that UTF-8 cannot express must not break the response."""
        return json.dumps(self.as_dict()).encode("ascii")

    def headers(self) -> dict[str, str]:
        """Headers the response needs besides its content type."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class InvalidRequest(BadRequest):
    """A request body that breaks the published schema."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail)


class Unavailable(StoreUnavailable):
    """A request that cannot be served now, although nothing is wrong with it."""

    def __init__(self, detail: str) -> None:
        self.problem = Problem(503, detail, retry_after=RETRY_AFTER_SECONDS)
        super().__init__(detail)


def problem_of(error: ValidationError) -> Problem:
    """The problem behind a failed validation: 400 malformed JSON, 413 too many items, 422 anything else."""
    found = error.errors(include_url=False, include_input=False)
    first = found[0]
    if first["type"] == "json_invalid":
        return Problem(400, "the body is not valid JSON", (FieldError("", first["msg"]),))
    shown = tuple(FieldError(_path(item["loc"]), _reason(item["type"], item["msg"])) for item in found[:_SHOWN_ERRORS])
    status = 413 if any(item["type"] == "too_long" for item in found) else 422
    more = f" (the first {_SHOWN_ERRORS} are shown)" if len(found) > _SHOWN_ERRORS else ""
    count = "1 field breaks" if len(found) == 1 else f"{len(found)} fields break"
    return Problem(status, f"{count} the request schema{more}", shown)


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part[:_SHOWN_NAME]}"
    return text


def _reason(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "no such field"
    if kind == "missing":
        return "the field is required and missing"
    return message.removeprefix("Value error, ")
