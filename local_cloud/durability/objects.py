"""S3: an object is completely on disk before the response to its PUT is sent.

MiniStack writes an object's bytes and then its metadata, two files. A process killed between the two would leave new
bytes with an old ETag. Here both are written to temporary files, then an intent file that lists the renames is written,
and then the files are renamed. The next start completes the renames of an intent; without an intent the old object
stays. A bucket's configuration (versioning, policy, notifications) is saved before the response to its change, and
before the first object of a bucket that the last snapshot does not contain.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

from local_cloud import emulator
from local_cloud.durability.snapshots import Snapshots

_READ_METHODS = ("GET", "HEAD", "OPTIONS")


class Objects:
    """Atomic writes of S3 objects, and snapshots of buckets.

    Parameters
    ----------
    folder : Path
        The folder of intent files, on the same file system as the objects.
    snapshots : Snapshots
        Writes the state files.
    """

    def __init__(self, folder: Path, snapshots: Snapshots) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._snapshots = snapshots
        self._known: set[str] = set()
        self._copied: set[str] = set()
        self.finish_intents()
        self._service = emulator.module("services.s3")
        self._handle = emulator.original(self._service, "handle_request")
        self._get_state = emulator.original(self._service, "get_state")
        for name in ("_object_disk_path", "_key_history_meta", "_object_meta_from_record", "_other_key_disk_path"):
            emulator.original(self._service, name)
        self._persist_displaced = emulator.original(self._service, "_persist_displaced_version")
        for name in ("_version_file_exists", "_remove_key_files", "_parse_bucket_key", "_buckets", "DATA_DIR"):
            emulator.original(self._service, name)

    def install(self) -> None:
        """Replace the service's request handler and the functions that write objects."""
        emulator.replace(self._service, "handle_request", self.handle)
        emulator.replace(self._service, "get_state", self.state)
        emulator.replace(self._service, "_persist_object", self.persist)
        emulator.replace(self._service, "_persist_displaced_version", self.persist_displaced)
        self._snapshots.when_saved("s3", self._saved)

    def finish_intents(self) -> None:
        """Complete the renames of a killed process, and remove temporary files without an intent."""
        for intent in self._folder.glob("*.json"):
            for source, target in json.loads(intent.read_text()):
                if Path(source).exists():
                    Path(source).replace(target)
            intent.unlink()
        for undecided in self._folder.iterdir():
            undecided.unlink()

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any], **how: Any
    ) -> Any:
        """Serve a request; a change to a bucket is on disk when this returns."""
        response = await self._handle(method, path, headers, body, query, **how)
        if method not in _READ_METHODS and response[0] < 300:
            _, key = self._service._parse_bucket_key(path, headers)
            if (not key and "delete" not in query) or not self._buckets() <= self._known:
                self._snapshots.save("s3")
        return response

    def state(self) -> dict[str, Any]:
        """Return the state of the buckets, and note which buckets it contains."""
        self._copied = self._buckets()
        state: dict[str, Any] = self._get_state()
        return state

    def _saved(self) -> None:
        """Note which buckets the snapshot on disk contains."""
        self._known = self._copied

    def persist_displaced(self, bucket: str, key: str, prior: dict[str, Any] | None, versioning: str) -> None:
        """Store the bytes of the version that a write replaces; if that fails, the version stays the current one."""
        self._persist_displaced(bucket, key, prior, versioning)
        identifier = (prior or {}).get("version_id") or "null"
        if prior is None or (versioning == "Suspended" and identifier == "null"):
            return
        if not self._service._version_file_exists(bucket, key, identifier):
            self._service._buckets[bucket]["objects"][key] = prior
            raise OSError(f"version {identifier} of s3://{bucket}/{key} could not be stored; the write is rejected")

    def persist(self, bucket: str, key: str, record: dict[str, Any]) -> None:
        """Write an object's bytes and metadata, both or neither."""
        place = self._service._object_disk_path(bucket, key)
        description = {
            **self._service._object_meta_from_record(record),
            **self._service._key_history_meta(bucket, key),
            "key": key,
        }
        files = {f"{place}.meta.json": json.dumps(description).encode()}
        if record.get("body") is not None:
            files[place] = record["body"]
        Path(place).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = uuid.uuid4().hex
        moves = []
        for number, (target, content) in enumerate(files.items()):
            source = self._folder / f"{token}-{number}.content"
            source.write_bytes(content)
            moves.append((str(source), target))
        intent = self._folder / f"{token}.json"
        unfinished = intent.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(moves))
        unfinished.replace(intent)
        for source_path, target in moves:
            Path(source_path).replace(target)
        intent.unlink()
        record["body"] = None  # read from disk from now on
        root = os.path.join(self._service.DATA_DIR, self._service.get_account_id(), bucket)  # noqa: PTH118
        self._service._remove_key_files(self._service._other_key_disk_path(root, key, place))

    def _buckets(self) -> set[str]:
        return {f"{scoped}:{bucket['created']}" for scoped, bucket in list(self._service._buckets._data.items())}
