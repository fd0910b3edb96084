"""The ObjectStore port in a dictionary, for tests: the same contract suite runs against it and against S3."""

from __future__ import annotations

import builtins
import hashlib
from pathlib import Path
from uuid import uuid4

from driftless.errors import Conflict, NotFound
from driftless.modelling.references import fetch
from driftless.records import Ref


class MemoryStore:
    """One bucket that keeps every version of its objects in memory."""

    def __init__(self, bucket: str = "memory") -> None:
        self.bucket = bucket
        self._objects: dict[str, dict[str, bytes]] = {}

    def get(self, key: str) -> bytes:
        return self._version(key, None)

    def get_if_changed(self, key: str, etag: str | None) -> tuple[bytes, str] | None:
        content = self.get(key)
        current = _etag(content)
        return None if current == etag else (content, current)

    def put(self, key: str, content: bytes, *, content_type: str = "application/octet-stream", if_absent: bool = False) -> Ref:
        if if_absent and key in self._objects and self.get(key) != content:
            raise Conflict(f"write {self.bucket}/{key}: an object of other content exists")
        self._objects.setdefault(key, {})[uuid4().hex] = bytes(content)
        return _ref(key, content)

    def put_if_unchanged(
        self, key: str, content: bytes, etag: str | None, *, content_type: str = "application/octet-stream"
    ) -> Ref:
        if (_etag(self.get(key)) if key in self._objects else None) != etag:
            raise Conflict(f"write {self.bucket}/{key}: another writer was first")
        return self.put(key, content)

    def download(self, key: str, path: Path, *, version_id: str | None = None) -> Ref:
        content = self._version(key, version_id)
        path.write_bytes(content)
        return _ref(key, content)

    def fetch(self, ref: Ref, path: Path) -> Path:
        return fetch(self, ref, path, name=f"{self.bucket}/{ref.key}")

    def upload(self, path: Path, key: str) -> Ref:
        return self.put(key, path.read_bytes())

    def list(self, prefix: str) -> builtins.list[str]:
        return sorted(key for key in self._objects if key.startswith(prefix))

    def version_ids(self, key: str) -> builtins.list[str]:
        """Version ids of one object, oldest first."""
        return [*self._objects[key]]

    def _version(self, key: str, version_id: str | None) -> bytes:
        versions = self._objects.get(key)
        if not versions or (version_id is not None and version_id not in versions):
            raise NotFound(f"read {self.bucket}/{key}: no such object or version")
        return versions[version_id] if version_id is not None else [*versions.values()][-1]


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _ref(key: str, content: bytes) -> Ref:
    return Ref(key=key, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
