"""The ObjectStore port on S3: content streams, digests are measured on the way, and writes may be conditional.

Files go up in one PUT (S3 takes 5 GB, more than a function's disk): a reader sees the whole object or none of it.
"""

from __future__ import annotations

import builtins
import hashlib
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from driftless.adapters.aws import error_code, translated
from driftless.errors import Conflict, NotFound
from driftless.modelling.references import fetch
from driftless.records import Ref

_CHUNK = 1 << 20


class S3Store:
    """One bucket.

    Parameters
    ----------
    bucket : str
        Its name.
    client : S3 client
        A boto3 client, normally ``driftless.adapters.aws.client("s3")``.
    """

    def __init__(self, bucket: str, *, client: Any) -> None:
        self.bucket = bucket
        self._client = client

    def get(self, key: str) -> bytes:
        with translated(self._doing("read", key)):
            content: bytes = self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def get_if_changed(self, key: str, etag: str | None) -> tuple[bytes, str] | None:
        condition = {"IfNoneMatch": etag} if etag else {}
        with translated(self._doing("read", key)):
            response = self._get_unless_not_modified(key, condition)
            return None if response is None else (response["Body"].read(), response["ETag"])

    def _get_unless_not_modified(self, key: str, condition: dict[str, str]) -> Any | None:
        try:
            return self._client.get_object(Bucket=self.bucket, Key=key, **condition)
        except ClientError as error:
            if error_code(error) in ("304", "NotModified"):
                return None
            raise

    def put(self, key: str, content: bytes, *, content_type: str = "application/octet-stream", if_absent: bool = False) -> Ref:
        ref = Ref(key=key, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        doing = self._doing("write", key)
        try:
            with translated(doing):
                self._client.put_object(Bucket=self.bucket, Key=key, Body=content, ContentType=content_type, **condition)
        except Conflict:
            # Another writer was first, or this one before a retry: equal content is the requested outcome.
            if not if_absent or self._digest(key) != ref.sha256:
                raise
        return ref

    def put_if_unchanged(
        self, key: str, content: bytes, etag: str | None, *, content_type: str = "application/octet-stream"
    ) -> Ref:
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            with translated(self._doing("write", key)):
                self._client.put_object(Bucket=self.bucket, Key=key, Body=content, ContentType=content_type, **condition)
        except NotFound as error:
            raise Conflict(f"{self._doing('write', key)}: what was to be replaced is gone") from error
        return Ref(key=key, sha256=hashlib.sha256(content).hexdigest(), size=len(content))

    def download(self, key: str, path: Path, *, version_id: str | None = None) -> Ref:
        version = {"VersionId": version_id} if version_id else {}
        digest, size = hashlib.sha256(), 0
        with translated(self._doing("read", key)):
            body = self._client.get_object(Bucket=self.bucket, Key=key, **version)["Body"]
            with path.open("wb") as file:
                for chunk in body.iter_chunks(_CHUNK):
                    digest.update(chunk)
                    size += file.write(chunk)
        return Ref(key=key, sha256=digest.hexdigest(), size=size)

    def fetch(self, ref: Ref, path: Path) -> Path:
        return fetch(self, ref, path, name=f"s3://{self.bucket}/{ref.key}")

    def upload(self, path: Path, key: str) -> Ref:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            with translated(self._doing("write", key)):
                self._client.put_object(Bucket=self.bucket, Key=key, Body=file)
        return Ref(key=key, sha256=digest, size=path.stat().st_size)

    def list(self, prefix: str) -> builtins.list[str]:
        keys: builtins.list[str] = []
        with translated(self._doing("list", prefix)):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                keys.extend(entry["Key"] for entry in page.get("Contents", ()))
        return sorted(keys)

    def _digest(self, key: str) -> str | None:
        try:
            return hashlib.sha256(self.get(key)).hexdigest()
        except NotFound:
            return None

    def _doing(self, verb: str, key: str) -> str:
        return f"{verb} s3://{self.bucket}/{key}"
