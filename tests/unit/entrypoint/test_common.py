"""What every step's handler does around its one library call."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from driftless.entrypoint.common import once, own_scratch, step_handler
from driftless.errors import BadRequest
from driftless.records import Record

CONTEXT = SimpleNamespace(
    aws_request_id="r", function_name="f", memory_limit_in_mb=128, invoked_function_arn="arn", function_version="1"
)


class Request(Record):
    name: str


class Result(Record):
    found: list[str]


def compose() -> Callable[[Request], Result]:
    return lambda request: Result(found=sorted(path.name for path in Path(tempfile.gettempdir()).iterdir()))


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scratch disk of a function whose last process was killed, and what else lies there."""
    folder = tmp_path / "scratch"
    (folder / "driftless-f/tmpabc").mkdir(parents=True)
    (folder / "driftless-f/tmpabc/rows.parquet").write_bytes(b"x")
    (folder / "others.json").write_text("{}")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    return folder


def test_a_new_process_finds_no_file_of_the_last_and_keeps_its_own(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    handler = step_handler(Request, compose)
    assert handler({"name": "a"}, CONTEXT) == {"found": []}
    (scratch / "driftless-f/kept").touch()
    assert handler({"name": "a"}, CONTEXT) == {"found": ["kept"]}
    assert sorted(path.name for path in scratch.iterdir()) == ["driftless-f", "others.json"], "what is not ours stays"


def test_a_composition_that_failed_is_tried_again_in_the_same_folder(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    for _ in range(2):
        own_scratch()
        assert tempfile.gettempdir() == str(scratch / "driftless-f")


def test_outside_lambda_nothing_is_deleted(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
    assert step_handler(Request, compose)({"name": "a"}, CONTEXT) == {"found": ["driftless-f", "others.json"]}


@pytest.mark.usefixtures("scratch")
def test_what_is_no_request_is_refused_before_anything_is_composed() -> None:
    def never() -> Callable[[Request], Result]:
        raise AssertionError("composed")

    with pytest.raises(BadRequest, match="Request: 2 validation errors"):
        step_handler(Request, never)({"nome": "a"}, CONTEXT)


def test_a_composition_is_made_once_and_repeated_after_a_failure() -> None:
    outcomes: Iterator[BadRequest | str] = iter([BadRequest("no environment yet"), "composed", "composed again"])

    def compose() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, BadRequest):
            raise outcome
        return outcome

    composed = once(compose)
    with pytest.raises(BadRequest, match="no environment yet"):
        composed()
    assert [composed(), composed()] == ["composed", "composed"]
