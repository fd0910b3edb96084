"""An append-only file of records, whole or absent.

Each record carries its length and checksum and is written by one system call, so what the process had written when it
was killed is in the file, and a torn last record is recognised and dropped. Files are numbered: a snapshot names the
first file that it does not contain.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

_HEADER = struct.Struct(">II")


class Journal:
    """Numbered files of records in one folder.

    Parameters
    ----------
    folder : Path
        Holds nothing but this journal's files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._number = max(self._numbers(), default=0)
        self._descriptor: int | None = None
        self.size = 0

    def append(self, record: bytes) -> None:
        """Write one record; it survives the process from here on.

        Raises
        ------
        OSError
            If it was not written; the journal is then what it was before.
        """
        if self._descriptor is None:
            self.rotate()
        assert self._descriptor is not None
        data = _HEADER.pack(len(record), zlib.crc32(record)) + record
        try:
            if os.write(self._descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, "a record was written in part", str(self._path(self._number)))
        except OSError:
            self._cut_off()
            raise
        self.size += len(data)

    def _cut_off(self) -> None:
        """Remove a record written in part: what came after it in the same file would not be read."""
        assert self._descriptor is not None
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            os.close(self._descriptor)
            self._descriptor = None  # so that the next record begins a file

    def rotate(self) -> int:
        """Begin a new file and return its number."""
        path = self._path(self._number + 1)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._number += 1
        self.size = 0
        return self._number

    def read(self, first: int) -> Iterator[bytes]:
        """Yield the records of all files numbered ``first`` or higher, oldest first."""
        for number in sorted(self._numbers()):
            if number >= first:
                yield from _records(self._path(number).read_bytes())

    def forget(self, first: int) -> None:
        """Remove the files before ``first``."""
        for number in self._numbers():
            if number < first:
                self._path(number).unlink(missing_ok=True)

    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in self.folder.glob("*.journal")]

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}.journal"


def _records(data: bytes) -> Iterator[bytes]:
    position = 0
    while position + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, position)
        record = data[position + _HEADER.size : position + _HEADER.size + length]
        if len(record) < length or zlib.crc32(record) != checksum:
            return  # written in part when the process died, hence never acknowledged
        yield record
        position += _HEADER.size + length
