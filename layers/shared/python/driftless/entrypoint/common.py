"""What every function's composition shares: typed settings, and Powertools around one library call.

A handler parses its event into a request record, makes one library call and returns its record as JSON. Errors pass through:
Step Functions retries or fails by their class names.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aws_lambda_powertools import Logger, Tracer
from pydantic import BaseModel, ConfigDict, ValidationError

from driftless.errors import BadRequest
from driftless.records import Record


class Settings(BaseModel):
    """A function's environment: field ``lake_bucket`` is read from ``LAKE_BUCKET``, and nothing else is."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Context(Protocol):
    """The part of Lambda's context that Driftless reads."""

    aws_request_id: str


S = TypeVar("S", bound=Settings)
Q = TypeVar("Q", bound=Record)
A = TypeVar("A", bound=Record)
T = TypeVar("T")
Handler = Callable[[dict[str, Any], Any], Any]


def read_settings(model: type[S], environ: Mapping[str, str] | None = None) -> S:
    """Read a settings model from environment variables.

    Raises
    ------
    BadRequest
        Naming each variable that is missing or malformed.
    """
    source = os.environ if environ is None else environ
    found = {name: source[name.upper()] for name in model.model_fields if name.upper() in source}
    try:
        return model.model_validate(found)
    except ValidationError as error:
        wrong = ", ".join(f"{'.'.join(map(str, e['loc'])).upper()} ({e['msg']})" for e in error.errors())
        raise BadRequest(f"environment of the function: {wrong}") from error


def instrument(function: Handler) -> Handler:
    """Structured logs with the request id and a trace segment around a handler."""
    logger = Logger()
    tracer = Tracer(auto_patch=False)
    traced = tracer.capture_lambda_handler(function, capture_response=False)
    return logger.inject_lambda_context(traced)


def own_scratch() -> None:
    """Give this process a folder of its own for temporary files, without what an earlier process left there.

    Lambda starts a new process in the same environment after one ran out of time or memory, with the disk as it was: files of
    gigabytes would be in the way of every event that follows. Outside Lambda nothing is touched.
    """
    if "AWS_LAMBDA_RUNTIME_API" not in os.environ:
        return
    name = f"driftless-{os.environ['AWS_LAMBDA_FUNCTION_NAME']}"
    found = Path(tempfile.gettempdir())
    scratch = found if found.name == name else found / name
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(exist_ok=True)
    tempfile.tempdir = str(scratch)


def once(compose: Callable[[], T]) -> Callable[[], T]:
    """A function that composes at its first call and returns the same afterwards; a composition that failed is repeated."""
    return cache(compose)


def composing(compose: Callable[[], Handler]) -> Handler:
    """A handler that is composed at its first event and kept while the process lives."""
    composed = once(compose)

    def handler(event: dict[str, Any], context: Any) -> Any:
        return composed()(event, context)

    return handler


def step_handler(request: type[Q], compose: Callable[[], Callable[[Q], A]]) -> Handler:
    """The handler of one step: parse the request record, call the step, return its record.

    Parameters
    ----------
    request : type
        Record class of the event.
    compose : callable
        Builds the step with its adapters; called once per process, at the first event.
    """

    @once
    def step() -> Callable[[Q], A]:
        own_scratch()
        return compose()

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            parsed = request.model_validate(event)
        except ValidationError as error:
            raise BadRequest(f"{request.__name__}: {error}") from error
        return step()(parsed).model_dump(mode="json")

    return instrument(handler)
