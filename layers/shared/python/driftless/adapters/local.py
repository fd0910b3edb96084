"""The ObjectStore port in a folder, for laptops and tests: a key is a path under the folder.

Writes go to a neighbouring file first and are renamed into place, so a reader sees the whole object or none of it.
"""

from __future__ import annotations

import builtins
import fcntl
import hashlib
import os
import shutil
from pathlib import Path
from uuid import uuid4

from driftless.errors import BadRequest, Conflict, NotFound
from driftless.modelling.references import fetch
from driftless.records import Ref


class FolderStore:
    """One bucket as a folder; it keeps no versions.

    Parameters
    ----------
    folder : Path
        Created at the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotFound(f"read {self.folder}/{key}: no such object") from error

    def get_if_changed(self, key: str, etag: str | None) -> tuple[bytes, str] | None:
        content = self.get(key)
        current = _etag(content)
        return None if current == etag else (content, current)

    def put(self, key: str, content: bytes, *, content_type: str = "application/octet-stream", if_absent: bool = False) -> Ref:
        part = self._part(key)
        part.write_bytes(content)
        ref = Ref(key=key, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        if not if_absent:
            part.replace(self._path(key))
            return ref
        try:
            os.link(part, self._path(key))
        except FileExistsError as error:
            if self.get(key) != content:
                raise Conflict(f"write {self.folder}/{key}: an object of other content exists") from error
        finally:
            part.unlink()
        return ref

    def put_if_unchanged(
        self, key: str, content: bytes, etag: str | None, *, content_type: str = "application/octet-stream"
    ) -> Ref:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f".{path.name}.lock.part").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (_etag(path.read_bytes()) if path.exists() else None) != etag:
                raise Conflict(f"write {self.folder}/{key}: another writer was first")
            return self.put(key, content)

    def download(self, key: str, path: Path, *, version_id: str | None = None) -> Ref:
        if version_id is not None:
            raise BadRequest(f"read {self.folder}/{key}: a folder keeps no versions")
        try:
            shutil.copyfile(self._path(key), path)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotFound(f"read {self.folder}/{key}: no such object") from error
        return _describe(path, key)

    def fetch(self, ref: Ref, path: Path) -> Path:
        return fetch(self, ref, path, name=f"{self.folder}/{ref.key}")

    def upload(self, path: Path, key: str) -> Ref:
        part = self._part(key)
        shutil.copyfile(path, part)
        ref = _describe(part, key)
        part.replace(self._path(key))
        return ref

    def list(self, prefix: str) -> builtins.list[str]:
        files = (path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".part")
        keys = (path.relative_to(self.folder).as_posix() for path in files)
        return sorted(key for key in keys if key.startswith(prefix))

    def _path(self, key: str) -> Path:
        path = self.folder / key
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise BadRequest(f"key {key!r} leads out of the folder")
        return path

    def _part(self, key: str) -> Path:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.with_name(f".{uuid4().hex}.part")


def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'


def _describe(path: Path, key: str) -> Ref:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Ref(key=key, sha256=digest, size=path.stat().st_size)
