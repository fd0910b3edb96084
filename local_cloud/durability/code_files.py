"""Lambda: the code of functions and layers as files named by their digest, outside the state file.

MiniStack stores the code of functions as such files and the bytes of layers in its state, which every save would write
again. Here layers are files too. A file that no function version and no layer refers to is removed, but only after the
state file that does not refer to it was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from local_cloud import emulator
from local_cloud.durability.snapshots import Snapshots


class CodeFiles:
    """The files of code and layers that Lambda's state refers to.

    Parameters
    ----------
    folder : Path
        The folder of layers; it is created.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._digests: dict[int, tuple[bytes, str]] = {}
        self._referenced: set[str] = set()
        self._prune: Callable[[Collection[str]], None] = lambda digests: None

    def install(self, snapshots: Snapshots) -> None:
        """Replace the state of Lambda that is saved and loaded, and MiniStack's removal of code."""
        service = emulator.module("services.lambda_svc")
        self._blobs = emulator.original(service, "CODE_BLOB_DIR")
        get_state = emulator.original(service, "get_state")
        load = emulator.original(service, "load_persisted_state")
        emulator.replace(service, "_prune_orphan_code_blobs", self._note_referenced)
        emulator.replace(service, "get_state", lambda: self._with_references(get_state()))
        emulator.replace(service, "load_persisted_state", lambda data: load(self._with_bytes(data)))
        snapshots.when_saved("lambda", self._remove_unreferenced)

    def when_saved(self, prune: Callable[[Collection[str]], None]) -> None:
        """Register a call with the digests of all code and layers, made after each save of the functions."""
        self._prune = prune

    def _with_references(self, state: dict[str, Any]) -> dict[str, Any]:
        for layer in state["layers"]._data.values():
            for version in layer["versions"]:
                content = version.get("_zip_data")
                if isinstance(content, bytes):
                    version["_zip_data"] = {"layer": self._stored(content)}
        return state

    def _with_bytes(self, state: dict[str, Any]) -> dict[str, Any]:
        for layer in state["layers"]._data.values():
            for version in layer["versions"]:
                reference = version.get("_zip_data")
                if isinstance(reference, dict):
                    version["_zip_data"] = (self._folder / reference["layer"]).read_bytes()
        return state

    def _note_referenced(self, referenced: set[str]) -> None:
        """Note the code that functions refer to; layers are added when the state is copied, which comes later."""
        self._referenced = set(referenced)

    def _remove_unreferenced(self) -> None:
        """Remove code and layers that the state on disk does not refer to."""
        for path in (*Path(self._blobs).glob("*.zip"), *self._folder.iterdir()):
            if path.stem not in self._referenced:
                path.unlink()
        self._digests = {key: known for key, known in self._digests.items() if known[1] in self._referenced}
        self._prune(self._referenced)

    def _stored(self, content: bytes) -> str:
        """Return the digest of a layer's bytes, and write its file if there is none."""
        known = self._digests.get(id(content))
        if known is None or known[0] is not content:
            digest = hashlib.sha256(content).hexdigest()
            path = self._folder / digest
            if not path.exists():
                unfinished = path.with_suffix(".unfinished")
                unfinished.write_bytes(content)
                unfinished.replace(path)
            known = self._digests[id(content)] = (content, digest)
        self._referenced.add(known[1])
        return known[1]
