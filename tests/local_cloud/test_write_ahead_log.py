"""The write-ahead log: records in files on disk, read after a crash."""

from __future__ import annotations

from pathlib import Path

from local_cloud.durability.write_ahead_log import WriteAheadLog


def test_a_partly_written_log_record_is_ignored_and_the_records_before_it_are_read(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path)
    for record in (b"one", b"two"):
        log.append(record)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:7])
    assert list(WriteAheadLog(tmp_path).read(0)) == [b"one", b"two"]
    path.write_bytes(whole[:-1])
    assert list(WriteAheadLog(tmp_path).read(0)) == [b"one"]


def test_a_log_is_read_from_the_file_that_the_snapshot_names(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path)
    log.append(b"in the snapshot")
    first = log.rotate()
    log.append(b"after it")
    assert list(WriteAheadLog(tmp_path).read(first)) == [b"after it"]
    log.remove_before(first)
    assert list(WriteAheadLog(tmp_path).read(0)) == [b"after it"]


def test_the_log_files_of_an_earlier_release_are_read(tmp_path: Path) -> None:
    """On disk a record is its length and its CRC-32 (big-endian), then its bytes, in a file of this name."""
    (tmp_path / "00000007.journal").write_bytes(bytes.fromhex("00000003 7a6c86f1") + b"one")
    log = WriteAheadLog(tmp_path)
    assert list(log.read(7)) == [b"one"]
    log.append(b"two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000007.journal", "00000008.journal"]
    assert list(log.read(7)) == [b"one", b"two"]
