"""A write-ahead log: an append-only file of records, each of which is read back whole or not at all.

Each record has a length and a checksum and is written by one system call. So every record that was appended before
the process was killed is in the file, and a partly written last record is recognised and ignored. Files are numbered:
a snapshot names the first file whose records it does not contain.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

LOG_NUMBER = "journal"
"""Key in a service's state file: the number of the log file that continues the snapshot. On disk, so never renamed."""

_SUFFIX = ".journal"  # on disk, so never renamed
_HEADER = struct.Struct(">II")  # length and CRC-32 of the record that follows


class WriteAheadLog:
    """Numbered files of records in one folder.

    Parameters
    ----------
    folder : Path
        Contains only this log's files; it is created.

    Attributes
    ----------
    size : int
        Bytes in the current file.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._number = max(self._numbers(), default=0)
        self._descriptor: int | None = None
        self.size = 0

    def append(self, record: bytes) -> None:
        """Write one record; from the return on, it survives the death of the process.

        Raises
        ------
        OSError
            If it could not be written; the log is then unchanged.
        """
        if self._descriptor is None:
            self.rotate()
        assert self._descriptor is not None
        data = _HEADER.pack(len(record), zlib.crc32(record)) + record
        try:
            if os.write(self._descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, "the record was only partly written", str(self._path(self._number)))
        except OSError:
            self._truncate()
            raise
        self.size += len(data)

    def _truncate(self) -> None:
        """Remove a partly written record, because records after it in the same file would not be read."""
        assert self._descriptor is not None
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            os.close(self._descriptor)
            self._descriptor = None  # the next record starts a new file

    def rotate(self) -> int:
        """Start a new file and return its number."""
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

    def remove_before(self, first: int) -> None:
        """Remove the files numbered lower than ``first``."""
        for number in self._numbers():
            if number < first:
                self._path(number).unlink(missing_ok=True)

    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in self.folder.glob(f"*{_SUFFIX}")]

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}{_SUFFIX}"


def _records(data: bytes) -> Iterator[bytes]:
    position = 0
    while position + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, position)
        record = data[position + _HEADER.size : position + _HEADER.size + length]
        if len(record) < length or zlib.crc32(record) != checksum:
            return  # partly written when the process died, so it was never acknowledged
        yield record
        position += _HEADER.size + length
