"""Recognise a landed file by its content, not its name: Parquet, CSV or JSON lines, optionally in gzip.

A file has at most :data:`LIMIT` bytes when unpacked. Each form of it is deleted once the next is written. A disk that is too
small for the work raises OutOfResources and is not reported as a fault of the file. Text must be UTF-8 (a byte order mark is
dropped) or UTF-16 with a mark, which is transcoded; no encoding is guessed. Every rejection is a :class:`Refused` with a reason
for the person who sent the file.
"""

from __future__ import annotations

import codecs
import gzip
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from driftless.errors import OutOfResources

_CHUNK = 1 << 20
LIMIT = 1 << 30
# Disk per byte of text for raw and typed values, flags, the sort's spill and the two Parquet files; measured on wide rows.
WORK_PER_BYTE = 3.0
_SIGNATURES = {
    b"PK\x03\x04": "a zip archive; send the file itself, or gzip it",
    b"BZh": "a bzip2 file; send it plain or as gzip",
    b"\xfd7zXZ": "an xz file; send it plain or as gzip",
    b"\x28\xb5\x2f\xfd": "a zstd file; send it plain or as gzip",
    b"%PDF": "a PDF document; send CSV, JSON lines or Parquet",
    b"\xd0\xcf\x11\xe0": "an Office document; send CSV, JSON lines or Parquet",
    b"ORC": "an ORC file; send CSV, JSON lines or Parquet",
    b"Obj\x01": "an Avro file; send CSV, JSON lines or Parquet",
}


class Refused(Exception):
    """The file as a whole cannot be read; the message is the reason."""


@dataclass(frozen=True)
class Source:
    """A local file whose format is known; text is UTF-8 without a byte order mark."""

    path: Path
    format: Literal["csv", "json", "parquet"]


def open_source(path: Path) -> Source:
    """Recognise a file, unpacking and transcoding it beside itself where needed.

    Raises
    ------
    Refused
        With the reason, when the file cannot be read.
    """
    if path.stat().st_size > LIMIT:
        raise Refused(f"the file is larger than {LIMIT >> 30} GB; send it in parts")
    head = _head(path)
    if head.startswith(b"\x1f\x8b"):
        path = _unpack(path)
        head = _head(path)
        if head.startswith(b"\x1f\x8b"):
            raise Refused("the file is packed twice with gzip")
    if not head:
        raise Refused("the file is empty (0 bytes)")
    if head.startswith(b"PAR1"):
        return Source(path, "parquet")
    for signature, meaning in _SIGNATURES.items():
        if head.startswith(signature):
            raise Refused(f"the file is {meaning}")
    path = _as_utf8(path, head)
    text = _head(path).decode("utf-8", errors="ignore").lstrip()
    if not text:
        raise Refused("the file holds nothing but white space")
    if text.startswith("["):
        raise Refused("the file is a JSON array; send one JSON object a line")
    return Source(path, "json" if text.startswith("{") else "csv")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def _unpack(path: Path) -> Path:
    target = path.with_name("unpacked")
    room = int(shutil.disk_usage(path.parent).free / (1 + WORK_PER_BYTE))
    size = 0
    try:
        with gzip.open(path, "rb") as packed, target.open("wb") as plain:
            while chunk := packed.read(_CHUNK):
                size += plain.write(chunk)
                if size > LIMIT:
                    raise Refused(f"the file unpacks to more than {LIMIT >> 30} GB; send it in parts")
                if size > room:
                    raise OutOfResources(f"the file unpacks to more than the {room >> 20} MB the function's disk can work on")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Refused(f"the gzip file is damaged: {error}") from error
    path.unlink()
    return target


def _as_utf8(path: Path, head: bytes) -> Path:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _rewrite(path, "utf-16")
    if head.startswith(codecs.BOM_UTF8):
        return _rewrite(path, "utf-8-sig")
    for _ in _decoded(path, "utf-8"):
        pass
    return path


def _rewrite(path: Path, encoding: str) -> Path:
    target = path.with_name("transcoded")
    with target.open("w", encoding="utf-8", newline="") as out:
        for text in _decoded(path, encoding):
            out.write(text)
    path.unlink()
    return target


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, line = 0, 1
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                value = error.object[error.start]
                reason = f"byte 0x{value:02X} near line {line} is not {encoding.removesuffix('-sig').upper()} text"
                raise Refused(f"{reason}; save the file as UTF-8") from error
            if "\0" in text:
                raise Refused(f"the file is binary: a NUL byte after byte {offset}; send CSV, JSON lines or Parquet")
            yield text
            if not chunk:
                return
            offset += len(chunk)
            line += text.count("\n")
