"""Ingestion: rows are committed once per source, whatever dies or repeats on the way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from driftless.adapters.delta import DeltaTables, folder_tables
from driftless.adapters.local import FolderStore
from driftless.adapters.memory_registry import MemoryRegistry
from driftless.errors import DataRejected, IntegrityError, NotFound, StoreUnavailable
from driftless.ingest import Ingest
from driftless.records import IngestionRequest, ValidationRecord, ValidationRequest
from driftless.validate import Validate
from tests.unit.small_shop import shop

CSV = "id,made_at,price,size,paid\n1,2026-01-01,1.5,S,true\n2,2026-01-02,2.5,M,\nx,2026-01-02,2.5,M,\n"


class House:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = shop(folder, toml={'key = ["id"]': 'key = ["id"]\nmax_quarantined = 0.5'})
        self.landing, self.lake = FolderStore(folder / "landing"), FolderStore(folder / "lake")
        self.tables: DeltaTables = folder_tables(folder / "lake")
        self.registry = MemoryRegistry()
        self.commit = "abc123"

    def validated(self, key: str = "shop/orders/a.csv", content: str = CSV) -> ValidationRecord:
        self.landing.put(key, content.encode())
        stage = Validate(landing=self.landing, lake=self.lake, projects={"shop": self.project}, clock=lambda: datetime.now(UTC))
        return stage(ValidationRequest(bucket="landing", key=key))

    def ingest(self, registry: Any = None) -> Ingest:
        return Ingest(
            lake=self.lake,
            tables=self.tables,
            registry=registry or self.registry,
            projects={"shop": self.project},
            git_commit=lambda: self.commit,
        )

    def ids(self) -> list[int]:
        latest = self.tables.latest("tables/shop/orders")
        assert latest is not None
        paths = [str(path) for path in self.tables.fetch("tables/shop/orders", latest, self.folder / f"v{latest}")]
        with duckdb.connect() as connection:
            return [row[0] for row in connection.execute("SELECT id FROM read_parquet(?) ORDER BY id", [paths]).fetchall()]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_an_accepted_file_becomes_a_version_with_its_origin(house: House) -> None:
    verdict = house.validated()
    record = house.ingest()(IngestionRequest(validation=verdict, execution_arn="arn:one"))
    assert (record.table, record.version, record.rows, record.duplicate) == ("tables/shop/orders", 1, 2, False)
    assert house.ids() == [1, 2]
    newest, _ = house.tables.history(record.table)
    assert newest["sha256"] == newest["transaction"] == verdict.source.sha256
    assert (newest["key"], newest["rows"], newest["quarantined_rows"]) == ("shop/orders/a.csv", "2", "1")
    assert (newest["git_commit"], newest["execution_arn"]) == ("abc123", "arn:one")
    assert house.registry.ingests("shop", "orders")[0]["version"] == 1


def test_another_execution_of_another_commit_is_still_the_same_delivery(house: House) -> None:
    first = house.ingest()(IngestionRequest(validation=house.validated(), execution_arn="arn:one"))
    house.commit = "def456"
    again = house.ingest()(IngestionRequest(validation=house.validated(), execution_arn="arn:two"))
    assert (again.version, again.duplicate) == (first.version, True)
    newest, *_ = house.tables.history(first.table)
    assert (newest["version"], newest["git_commit"], newest["execution_arn"]) == (first.version, "abc123", "arn:one")


def test_repeated_events_and_renamed_copies_commit_once(house: House) -> None:
    first = house.ingest()(IngestionRequest(validation=house.validated()))
    house.ingest()(IngestionRequest(validation=house.validated("shop/orders/b.csv", CSV.replace("1.5", "9.5"))))
    again = house.ingest()(IngestionRequest(validation=house.validated()))
    copy = house.ingest()(IngestionRequest(validation=house.validated("shop/orders/renamed.csv")))
    assert (again.version, again.duplicate) == (copy.version, copy.duplicate) == (first.version, True)
    assert house.ids() == [1, 1, 2, 2]


def test_a_crash_after_the_commit_is_made_good_by_the_next_delivery(house: House) -> None:
    class Dies:
        def record_ingest(self, project: str, dataset: str, facts: dict[str, Any]) -> None:
            raise StoreUnavailable("the process died here")

    request = IngestionRequest(validation=house.validated())
    with pytest.raises(StoreUnavailable):
        house.ingest(Dies())(request)
    assert house.registry.ingests("shop", "orders") == []
    record = house.ingest()(request)
    assert (record.version, record.duplicate) == (1, True)
    assert house.ids() == [1, 2]
    house.ingest()(request)
    assert [entry["version"] for entry in house.registry.ingests("shop", "orders")] == [1]


def test_a_rejected_file_and_a_changed_staged_file_are_refused(house: House) -> None:
    rejected = house.validated(content="id\n1\n")
    with pytest.raises(DataRejected, match="'made_at' is missing"):
        house.ingest()(IngestionRequest(validation=rejected))
    verdict = house.validated()
    assert verdict.staged is not None
    house.lake.put(verdict.staged.key, b"tampered")
    with pytest.raises(IntegrityError):
        house.ingest()(IngestionRequest(validation=verdict))
    assert house.tables.latest("tables/shop/orders") is None


def test_a_dataset_that_is_gone_since_is_not_found(house: House) -> None:
    verdict = house.validated().model_copy(update={"dataset": "sales"})
    with pytest.raises(NotFound, match="shop/sales"):
        house.ingest()(IngestionRequest(validation=verdict))
