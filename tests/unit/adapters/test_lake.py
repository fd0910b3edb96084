"""The contract of the LakeTables port, run against Delta Lake in a folder (deltalake's client cannot be served in process)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Lock
from typing import Any

import duckdb
import pytest
from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError, SchemaMismatchError
from deltalake.transaction import AddAction

from driftless.adapters.delta import DeltaTables, folder_tables, s3_tables
from driftless.adapters.local import FolderStore
from driftless.errors import Conflict, DataRejected, DriftlessError, IntegrityError, NotFound, StoreUnavailable
from driftless.records import Ref

TABLE = "tables/shop/orders"
COLUMNS = {"id": "integer", "price": "number", "note": "string", "paid": "boolean", "at": "timestamp"}


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    return folder_tables(tmp_path / "lake")


def parquet(folder: Path, name: str, first: int, rows: int = 2, more: str = "") -> Path:
    path = folder / name
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"COPY (SELECT i AS id, i / 2 AS price, NULL::VARCHAR AS note, i % 2 = 0 AS paid, "
            f"TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_hours(i) AS at {more} FROM range({first}, {first + rows}) AS r(i)) "
            f"TO '{path}' (FORMAT parquet)"
        )
    return path


def ids(paths: list[Path]) -> list[int]:
    with duckdb.connect() as connection:
        source = [str(path) for path in paths]
        return [row[0] for row in connection.execute("SELECT id FROM read_parquet(?, union_by_name = true)", [source]).fetchall()]


def test_each_append_is_a_version_that_stays_readable(tables: DeltaTables, tmp_path: Path) -> None:
    assert tables.latest(TABLE) is None and list(tables.history(TABLE)) == []
    first = tables.append(TABLE, parquet(tmp_path, "a", 0), columns=COLUMNS, transaction="a", commit={"source": "one"})
    second = tables.append(TABLE, parquet(tmp_path, "b", 10), columns=COLUMNS, transaction="b", commit={"source": "two"})
    assert (first, second, tables.latest(TABLE)) == ((1, False), (2, False), 2)
    assert tables.fetch(TABLE, 0, tmp_path / "v0") == []
    assert ids(tables.fetch(TABLE, 1, tmp_path / "v1")) == [0, 1]
    assert ids(tables.fetch(TABLE, 2, tmp_path / "v2")) == [0, 1, 10, 11]


def test_a_source_is_committed_once_and_names_the_version_that_holds_it(tables: DeltaTables, tmp_path: Path) -> None:
    for transaction, first in (("a", 0), ("b", 10), ("c", 20)):
        tables.append(TABLE, parquet(tmp_path, transaction, first), columns=COLUMNS, transaction=transaction, commit={})
    assert tables.append(TABLE, parquet(tmp_path, "b2", 99), columns=COLUMNS, transaction="b", commit={}) == (2, True)
    assert ids(tables.fetch(TABLE, 3, tmp_path / "all")) == [0, 1, 10, 11, 20, 21]


def test_concurrent_deliveries_of_the_same_sources_commit_each_once(tables: DeltaTables, tmp_path: Path) -> None:
    files = [parquet(tmp_path, f"f{i}", i * 10) for i in range(4)]

    def deliver(i: int) -> tuple[int, bool]:
        return tables.append(TABLE, files[i % 4], columns=COLUMNS, transaction=f"t{i % 4}", commit={})

    with ThreadPoolExecutor(16) as pool:
        commits = list(pool.map(deliver, range(16)))
    assert sorted(version for version, duplicate in commits if not duplicate) == [1, 2, 3, 4]
    assert all(commits[i][0] == commits[i % 4][0] for i in range(16))
    assert sorted(ids(tables.fetch(TABLE, 4, tmp_path / "all"))) == [0, 1, 10, 11, 20, 21, 30, 31]


def test_files_are_ordered_by_commit_and_not_by_the_writers_clock(tmp_path: Path) -> None:
    class Behind(DeltaTables):
        """A writer whose clock is behind, or whose upload began long before its commit."""

        def _upload(self, *arguments: Any) -> AddAction:
            action = super()._upload(*arguments)
            return AddAction(action.path, action.size, {}, 0, True, action.stats)

    store = FolderStore(tmp_path / "lake")
    tables, behind = (kind(str(store.folder), files=store) for kind in (DeltaTables, Behind))
    for writer, name, first in ((tables, "a", 0), (behind, "b", 10), (tables, "c", 20)):
        writer.append(TABLE, parquet(tmp_path, name, first), columns=COLUMNS, transaction=name, commit={})
    assert ids(tables.fetch(TABLE, 3, tmp_path / "all")) == [0, 1, 10, 11, 20, 21]
    assert ids(tables.fetch(TABLE, 2, tmp_path / "before")) == [0, 1, 10, 11]


def test_many_files_are_fetched_at_once_but_not_all_of_them(tmp_path: Path) -> None:
    class Watched(FolderStore):
        """Holds each of the first downloads until four of them run."""

        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            self.lock, self.four = Lock(), Barrier(4)
            self.begun = self.running = self.most = 0

        def download(self, key: str, path: Path, *, version_id: str | None = None) -> Ref:
            with self.lock:
                self.begun += 1
                self.running += 1
                self.most = max(self.most, self.running)
                waits = self.begun <= 4
            if waits:
                self.four.wait(60)
            ref = super().download(key, path, version_id=version_id)
            with self.lock:
                self.running -= 1
            return ref

    store = Watched(tmp_path / "lake")
    tables = DeltaTables(str(store.folder), files=store)
    for number in range(12):
        name = f"f{number:02d}"
        tables.append(TABLE, parquet(tmp_path, name, number, rows=1), columns=COLUMNS, transaction=name, commit={})
    assert ids(tables.fetch(TABLE, 12, tmp_path / "all")) == list(range(12))
    assert 4 <= store.most <= 8


def test_history_lists_commits_newest_first(tables: DeltaTables, tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    tables.append(TABLE, parquet(tmp_path, "a", 0), columns=COLUMNS, transaction="a", commit={"key": "shop/orders/a.csv"})
    tables.append(TABLE, parquet(tmp_path, "b", 0), columns=COLUMNS, transaction="b", commit={"key": "shop/orders/b.csv"})
    *history, creation = tables.history(TABLE)
    assert [(entry["version"], entry["key"], entry["transaction"]) for entry in history] == [
        (2, "shop/orders/b.csv", "b"),
        (1, "shop/orders/a.csv", "a"),
    ]
    assert creation["version"] == 0
    assert all(before <= entry["time"] <= datetime.now(UTC) for entry in history)


def test_a_new_column_widens_the_table_and_a_changed_type_is_refused(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append(TABLE, parquet(tmp_path, "a", 0), columns=COLUMNS, transaction="a", commit={})
    wider = parquet(tmp_path, "b", 5, more=", 'web' AS channel")
    tables.append(TABLE, wider, columns={**COLUMNS, "channel": "string"}, transaction="b", commit={})
    latest = tables.latest(TABLE)
    assert latest is not None and ids(tables.fetch(TABLE, latest, tmp_path / "all")) == [0, 1, 5, 6]
    with pytest.raises(DataRejected, match=r"'price' is stored as double, the project now says long"):
        tables.append(TABLE, parquet(tmp_path, "c", 9), columns={**COLUMNS, "price": "integer"}, transaction="c", commit={})
    assert tables.latest(TABLE) == latest


def test_unknown_tables_and_versions_are_not_found(tables: DeltaTables, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        tables.fetch(TABLE, 1, tmp_path / "x")
    tables.append(TABLE, parquet(tmp_path, "a", 0), columns=COLUMNS, transaction="a", commit={})
    with pytest.raises(NotFound, match="no version 7"):
        tables.fetch(TABLE, 7, tmp_path / "x")


def test_a_data_file_of_other_size_than_the_log_says_is_refused(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append(TABLE, parquet(tmp_path, "a", 0), columns=COLUMNS, transaction="a", commit={})
    data = next((tmp_path / "lake" / TABLE).glob("*.parquet"))
    data.write_bytes(data.read_bytes() + b"tampered")
    with pytest.raises(IntegrityError):
        tables.fetch(TABLE, 1, tmp_path / "x")


def test_a_store_that_does_not_respond_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    broken = s3_tables("lake", FolderStore(tmp_path), {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    with pytest.raises(StoreUnavailable, match="open tables/shop/orders"):
        broken.latest(TABLE)


@pytest.mark.parametrize(
    ("raised", "leaf"),
    [
        (CommitFailedError("overtaken"), Conflict),
        (SchemaMismatchError("other columns"), DataRejected),
        (DeltaProtocolError("a newer writer"), IntegrityError),
        (DeltaError("a request timed out"), StoreUnavailable),
    ],
)
def test_what_delta_says_is_retryable_only_where_trying_again_helps(
    tables: DeltaTables, monkeypatch: pytest.MonkeyPatch, raised: DeltaError, leaf: type[DriftlessError]
) -> None:
    def opened(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("driftless.adapters.delta.DeltaTable", opened)
    with pytest.raises(leaf) as caught:
        tables.latest(TABLE)
    assert type(caught.value) is leaf and caught.value.__cause__ is raised
