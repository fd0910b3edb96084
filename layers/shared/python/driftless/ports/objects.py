"""The uses of one bucket. Methods raise NotFound, IntegrityError, Conflict, StoreUnavailable or Throttled."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from driftless.records import Ref


class ObjectReader(Protocol):
    """Reads whole objects into memory."""

    def get(self, key: str) -> bytes:
        """Whole content; NotFound when there is none."""


class ConditionalReader(Protocol):
    """Reads an object again only when it changed."""

    def get_if_changed(self, key: str, etag: str | None) -> tuple[bytes, str] | None:
        """Content and ETag, or None when ``etag`` still matches; NotFound when there is none."""


class ObjectWriter(Protocol):
    """Writes whole objects from memory."""

    def put(self, key: str, content: bytes, *, content_type: str = "application/octet-stream", if_absent: bool = False) -> Ref:
        """Write; with ``if_absent`` an existing object of equal content is returned, of other content is a Conflict."""


class ConditionalWriter(Protocol):
    """Replaces an object only while it is still the one that was read."""

    def put_if_unchanged(
        self, key: str, content: bytes, etag: str | None, *, content_type: str = "application/octet-stream"
    ) -> Ref:
        """Replace the content that ``etag`` names (None: no object yet); Conflict when another writer was first."""


class ObjectLister(Protocol):
    """Lists keys."""

    def list(self, prefix: str) -> list[str]:
        """Keys under a prefix, sorted."""


class FileDownloader(Protocol):
    """Downloads objects whose digest is not known yet."""

    def download(self, key: str, path: Path, *, version_id: str | None = None) -> Ref:
        """Stream to a local file and measure its digest."""


class FileFetcher(Protocol):
    """Downloads objects by reference."""

    def fetch(self, ref: Ref, path: Path) -> Path:
        """Stream to a local file and check the digest; IntegrityError when it differs."""


class FileUploader(Protocol):
    """Uploads files."""

    def upload(self, path: Path, key: str) -> Ref:
        """Stream a local file to an object."""


class ObjectStore(
    ObjectReader,
    ConditionalReader,
    ObjectWriter,
    ConditionalWriter,
    ObjectLister,
    FileDownloader,
    FileFetcher,
    FileUploader,
    Protocol,
):
    """One bucket: everything an adapter implements."""
