"""Lack of memory or disk raises OutOfResources and is never reported to the sender as a fault of the file."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
from collections import namedtuple
from pathlib import Path

import duckdb
import pytest

from driftless.adapters.local import FolderStore
from driftless.data.validation import raw, source
from driftless.errors import OutOfResources, TerminalError
from driftless.records import Ref
from tests.unit.data.validation.test_validate import GOOD, HEADER, Scene, project

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, project(tmp_path))


def test_too_little_memory_is_out_of_resources(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "20")
    with pytest.raises(OutOfResources, match=r"infra/functions\.py") as caught:
        scene.send(HEADER + "1" * 15_000_000)
    assert isinstance(caught.value, TerminalError)
    assert scene.lake.list("") == []


def test_a_disk_that_fills_while_loading_is_out_of_resources(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> list[str]:
        raise duckdb.IOException(f"IO Error: Could not write file: {os.strerror(errno.ENOSPC)}")

    monkeypatch.setattr(raw, "_csv", full)
    with pytest.raises(OutOfResources):
        scene.send(HEADER + GOOD)


def test_a_disk_that_fills_while_downloading_is_out_of_resources(scene: Scene, tmp_path: Path) -> None:
    class Full(FolderStore):
        def download(self, key: str, path: Path, *, version_id: str | None = None) -> Ref:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    full = Scene(tmp_path, project(tmp_path), landing=Full(tmp_path / "landing"))
    with pytest.raises(OutOfResources):
        full.send(HEADER + GOOD)


def test_a_file_is_unpacked_only_as_far_as_the_disk_can_work_on_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(HEADER.encode() + b"1" * 5_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 0, 4 << 20))
    with pytest.raises(OutOfResources, match="more than the 1 MB"):
        scene.send(packed)


def test_a_file_over_the_limit_is_rejected(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LIMIT", 1 << 20)
    assert "larger than" in scene.send(HEADER.encode() + b"1" * 5_000_000).reasons[0]
    assert "unpacks to more than" in scene.send(gzip.compress(HEADER.encode() + b"1" * 5_000_000)).reasons[0]
