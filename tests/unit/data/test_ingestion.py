"""Ingestion: rows are committed once per source, whatever dies or repeats on the way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest

from driftless.adapters.delta import DeltaTables, folder_tables
from driftless.adapters.local import FolderStore
from driftless.core.duckdb import engine
from driftless.data.features.tables import load
from driftless.data.ingestion import Ingest
from driftless.data.validation import Validate
from driftless.definition.project import Project
from driftless.errors import DataRejected, IntegrityError, NotFound, StoreUnavailable
from driftless.records import IngestFacts, IngestionRequest, ValidationRecord, ValidationRequest
from driftless.testing.memory_registry import MemoryRegistry
from tests.unit.small_shop import parquet, prices, shop

CSV = "id,made_at,price,size,paid\n1,2026-01-01,1.5,S,true\n2,2026-01-02,2.5,M,\nx,2026-01-02,2.5,M,\n"


def prices_of_nobody(folder: Path, project: Project) -> list[Path]:
    """A file for the dataset that these tests are not about."""
    return [parquet(folder / "prices.parquet", project, "prices", prices(1))]


class Scene:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = shop(folder, toml={'key = ["id"]': 'key = ["id"]\nmax_quarantined = 0.5'})
        self.landing, self.lake = FolderStore(folder / "landing"), FolderStore(folder / "lake")
        self.tables: DeltaTables = folder_tables(folder / "lake")
        self.registry = MemoryRegistry()
        self.commit = "abc123"

    def validated(self, key: str = "shop/orders/a.csv", content: str = CSV, version: str | None = None) -> ValidationRecord:
        self.landing.put(key, content.encode())
        step = Validate(landing=self.landing, lake=self.lake, projects={"shop": self.project}, clock=lambda: datetime.now(UTC))
        verdict = step(ValidationRequest(bucket="landing", key=key))
        return verdict.model_copy(update={"source": verdict.source.model_copy(update={"version_id": version})})

    def ingest(self, registry: Any = None) -> Ingest:
        return Ingest(
            lake=self.lake,
            tables=self.tables,
            registry=registry or self.registry,
            projects={"shop": self.project},
            git_commit=lambda: self.commit,
        )

    def prices(self) -> dict[int, float]:
        """Price by key, as a training would read it."""
        with TemporaryDirectory(dir=self.folder) as scratch, engine(Path(scratch)) as connection:
            version = self.tables.latest("tables/shop/orders")
            assert version is not None
            orders = self.tables.fetch("tables/shop/orders", version, Path(scratch) / "orders")
            load(connection, self.project, {"orders": orders, "prices": prices_of_nobody(Path(scratch), self.project)})
            return dict(connection.execute("SELECT id, price FROM orders ORDER BY id").fetchall())

    def ids(self) -> list[int]:
        latest = self.tables.latest("tables/shop/orders")
        assert latest is not None
        paths = [str(path) for path in self.tables.fetch("tables/shop/orders", latest, self.folder / f"v{latest}")]
        with duckdb.connect() as connection:
            return [row[0] for row in connection.execute("SELECT id FROM read_parquet(?) ORDER BY id", [paths]).fetchall()]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_an_accepted_file_becomes_a_version_with_its_origin(scene: Scene) -> None:
    verdict = scene.validated()
    record = scene.ingest()(IngestionRequest(validation=verdict, execution_arn="arn:one"))
    assert (record.table, record.version, record.rows, record.duplicate) == ("tables/shop/orders", 1, 2, False)
    assert scene.ids() == [1, 2]
    newest, _ = scene.tables.history(record.table)
    assert newest["sha256"] == verdict.source.sha256
    assert (newest["key"], newest["rows"], newest["quarantined_rows"]) == ("shop/orders/a.csv", "2", "1")
    assert (newest["git_commit"], newest["execution_arn"]) == ("abc123", "arn:one")
    assert scene.registry.ingests("shop", "orders")[0].version == 1


def test_another_execution_of_another_commit_is_still_the_same_delivery(scene: Scene) -> None:
    first = scene.ingest()(IngestionRequest(validation=scene.validated(), execution_arn="arn:one"))
    scene.commit = "def456"
    again = scene.ingest()(IngestionRequest(validation=scene.validated(), execution_arn="arn:two"))
    assert (again.version, again.duplicate) == (first.version, True)
    newest, *_ = scene.tables.history(first.table)
    assert (newest["version"], newest["git_commit"], newest["execution_arn"]) == (first.version, "abc123", "arn:one")


def test_an_upload_is_committed_once_however_late_its_event_is_delivered_again(scene: Scene) -> None:
    first = scene.ingest()(IngestionRequest(validation=scene.validated(version="v1")))
    scene.ingest()(IngestionRequest(validation=scene.validated("shop/orders/b.csv", CSV.replace("1.5", "9.5"), "v1")))
    again = scene.ingest()(IngestionRequest(validation=scene.validated(version="v1")))
    assert (again.version, again.duplicate) == (first.version, True)
    assert scene.ids() == [1, 1, 2, 2]


def test_a_file_sent_again_after_its_correction_counts_again(scene: Scene) -> None:
    corrected = CSV.replace("1.5", "9.5")
    versions = [
        scene.ingest()(IngestionRequest(validation=scene.validated(content=content, version=version))).version
        for content, version in ((CSV, "v1"), (corrected, "v2"), (CSV, "v3"))
    ]
    assert versions == [1, 2, 3]
    assert scene.prices() == {1: 1.5, 2: 2.5}


def test_a_file_sent_again_after_a_corrected_definition_adds_its_quarantined_rows(scene: Scene) -> None:
    narrow = {'key = ["id"]': 'key = ["id"]\nmax_quarantined = 0.9', "price = { type": "price = { range = [0, 2], type"}
    scene.project = shop(scene.folder, toml=narrow)
    first = scene.ingest()(IngestionRequest(validation=scene.validated(version="v1")))
    assert scene.prices() == {1: 1.5}
    scene.project = shop(scene.folder, toml={'key = ["id"]': 'key = ["id"]\nmax_quarantined = 0.9'})
    second = scene.ingest()(IngestionRequest(validation=scene.validated(version="v2")))
    assert (first.version, second.version, second.duplicate) == (1, 2, False)
    assert scene.prices() == {1: 1.5, 2: 2.5}


def test_the_next_delivery_repairs_a_crash_after_the_commit(scene: Scene) -> None:
    class Dies:
        def record_ingest(self, project: str, dataset: str, facts: IngestFacts) -> None:
            raise StoreUnavailable("the process died here")

    request = IngestionRequest(validation=scene.validated())
    with pytest.raises(StoreUnavailable):
        scene.ingest(Dies())(request)
    assert scene.registry.ingests("shop", "orders") == []
    record = scene.ingest()(request)
    assert (record.version, record.duplicate) == (1, True)
    assert scene.ids() == [1, 2]
    scene.ingest()(request)
    assert [entry.version for entry in scene.registry.ingests("shop", "orders")] == [1]


def test_a_rejected_file_and_a_changed_staged_file_are_refused(scene: Scene) -> None:
    rejected = scene.validated(content="id\n1\n")
    with pytest.raises(DataRejected, match="'made_at' is missing"):
        scene.ingest()(IngestionRequest(validation=rejected))
    verdict = scene.validated()
    assert verdict.staged is not None
    scene.lake.put(verdict.staged.key, b"tampered")
    with pytest.raises(IntegrityError):
        scene.ingest()(IngestionRequest(validation=verdict))
    assert scene.tables.latest("tables/shop/orders") is None


def test_a_dataset_that_was_removed_is_not_found(scene: Scene) -> None:
    verdict = scene.validated().model_copy(update={"dataset": "sales"})
    with pytest.raises(NotFound, match="shop/sales"):
        scene.ingest()(IngestionRequest(validation=verdict))
