"""Content by reference is the recorded content, or an error that names the object."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftless.errors import IntegrityError, NotFound
from driftless.modelling.references import fetch, read, read_recorded
from driftless.testing.memory import MemoryStore


def test_recorded_content_is_read() -> None:
    store = MemoryStore()
    ref = store.put("runs/demo/r1/model/model.onnx", b"graph")
    assert read(store, ref) == read_recorded(store, ref.key, ref.sha256) == b"graph"


def test_other_content_is_refused() -> None:
    store = MemoryStore()
    ref = store.put("runs/demo/r1/model/model.onnx", b"graph")
    store.put(ref.key, b"another")
    with pytest.raises(IntegrityError, match=f"runs/demo/r1/model/model.onnx has sha256 .*, recorded was {ref.sha256}"):
        read(store, ref)


def test_a_deleted_object_is_not_found() -> None:
    ref = MemoryStore().put("a", b"graph")
    with pytest.raises(NotFound):
        read(MemoryStore(), ref)


def test_a_file_of_other_content_is_refused_and_removed(tmp_path: Path) -> None:
    store = MemoryStore()
    ref = store.put("runs/demo/r1/train.parquet", b"rows")
    assert fetch(store, ref, tmp_path / "file", name="memory/train").read_bytes() == b"rows"
    store.put(ref.key, b"other rows")
    with pytest.raises(IntegrityError, match=f"^memory/train has sha256 .*, recorded was {ref.sha256}$"):
        fetch(store, ref, tmp_path / "file", name="memory/train")
    assert not (tmp_path / "file").exists()
