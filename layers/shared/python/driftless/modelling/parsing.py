"""Stored JSON as records: content that does not fit is an error that names the object and the first wrong field."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from driftless.errors import IntegrityError
from driftless.records import Record

R = TypeVar("R", bound=Record)


def parse(kind: type[R], what: str, key: str, content: bytes) -> R:
    """The record in an object's content.

    Parameters
    ----------
    what : str
        What the object should be, for the message.
    key : str
        Where the content was read from, for the message.

    Raises
    ------
    IntegrityError
        When it is not JSON, a key is missing, or a value has another type.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise IntegrityError(f"{key} is no {what} this release reads: {where}: {first['msg']}") from error
