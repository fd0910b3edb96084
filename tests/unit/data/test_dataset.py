"""Transform: pinned data versions, known labels only, an honest split in time, and the same bytes on every run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from driftless.adapters.delta import DeltaTables, folder_tables
from driftless.data.dataset import Transform, candidates
from driftless.definition.project import Project
from driftless.errors import LeakageFound, NotEnoughData, NotFound
from driftless.records import Candidate, DatasetRecord, Ref, Run, TransformRequest
from driftless.testing.memory import MemoryStore
from driftless.testing.memory_registry import MemoryRegistry
from tests.unit.small_shop import SQL, START, Row, append, orders, prices, shop

RUN = Run(run_id="run-1", execution_arn="arn", project="shop")


@dataclass
class Scene:
    folder: Path
    project: Project
    tables: DeltaTables
    artifacts: MemoryStore
    registry: MemoryRegistry

    def add(self, dataset: str, rows: list[Row], name: str) -> None:
        append(self.tables, self.project, dataset, rows, self.folder, name)

    def transform(self, run: Run = RUN, project: Project | None = None) -> DatasetRecord:
        step = Transform(
            tables=self.tables,
            artifacts=self.artifacts,
            registry=self.registry,
            projects={"shop": project or self.project},
            git_commit=lambda: "abc123",
        )
        return step(TransformRequest(run=run))

    def read(self, ref: Ref, query: str = "SELECT * FROM read_parquet(?)") -> list[tuple[Any, ...]]:
        path = self.artifacts.fetch(ref, self.folder / "read.parquet")
        with duckdb.connect() as connection:
            found: list[tuple[Any, ...]] = connection.execute(query, [str(path)]).fetchall()
            return found


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, shop(tmp_path), folder_tables(tmp_path / "lake"), MemoryStore(), MemoryRegistry())


@pytest.fixture
def stocked(scene: Scene) -> Scene:
    scene.add("orders", orders(120), "orders")
    scene.add("prices", prices(31), "prices")
    return scene


def test_the_training_set_has_the_declared_columns_types_and_order(stocked: Scene) -> None:
    record = stocked.transform()
    described = stocked.read(record.train, "DESCRIBE SELECT * FROM read_parquet(?)")
    assert [(row[0], row[1]) for row in described] == [
        ("id", "BIGINT"),
        ("made_at", "TIMESTAMP"),
        ("price", "DOUBLE"),
        ("size", "VARCHAR"),
        ("market", "DOUBLE"),
        ("is_paid", "BOOLEAN"),
    ]
    rows = stocked.read(record.train) + stocked.read(record.holdout)
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    number, made_at, price, size, market, paid = rows[7]
    assert (made_at, price, size, paid) == orders(120)[number][1:]
    assert market == (made_at - START).days + 0.25


def test_a_personal_key_stays_in_the_lake(stocked: Scene, tmp_path: Path) -> None:
    project = shop(tmp_path / "personal", toml={'id = { type = "integer" }': 'id = { type = "integer", pii = true }'})
    record = stocked.transform(project=project)
    for part in (record.train, record.holdout):
        described = stocked.read(part, "DESCRIBE SELECT * FROM read_parquet(?)")
        assert [row[0] for row in described] == ["made_at", "price", "size", "market", "is_paid"]


def test_columns_may_have_the_names_that_the_step_uses_itself(tmp_path: Path) -> None:
    toml = {
        'key = ["id"]': 'key = ["n"]',
        "id = {": "n = {",
        'market = { type = "number", nullable = true }': 'part = { type = "number", nullable = true }',
    }
    project = shop(tmp_path, toml=toml, sql=SQL.replace("o.id", "o.n").replace("p.market", "p.market AS part"))
    scene = Scene(tmp_path, project, folder_tables(tmp_path / "lake"), MemoryStore(), MemoryRegistry())
    scene.add("orders", orders(120), "orders")
    scene.add("prices", prices(31), "prices")
    described = scene.read(scene.transform().train, "DESCRIBE SELECT * FROM read_parquet(?)")
    assert [row[0] for row in described] == ["n", "made_at", "price", "size", "part", "is_paid"]


def test_the_split_is_by_time_and_leaves_out_rows_without_a_known_label(stocked: Scene) -> None:
    record = stocked.transform()
    last_order = START + timedelta(hours=6 * 119)
    last_known = last_order - timedelta(hours=24)
    holdout_end = (last_known + timedelta(seconds=1)).replace(tzinfo=UTC)
    assert record.holdout_end == holdout_end
    assert record.train_end == holdout_end - timedelta(days=5)
    times = "SELECT min(made_at), max(made_at), count(*) FROM read_parquet(?)"
    [(first, last, count)] = stocked.read(record.holdout, times)
    assert (last, count) == (last_known, record.holdout_rows)
    assert first.replace(tzinfo=UTC) >= record.train_end
    [(first, last, count)] = stocked.read(record.train, times)
    assert (first.replace(tzinfo=UTC), count) == (record.train_start, record.train_rows)
    # A label takes a day: what was ordered on the last day before the hold-out could not have been learnt from.
    boundary = record.train_end.replace(tzinfo=None)
    assert boundary - timedelta(hours=31) < last <= boundary - timedelta(hours=24)
    assert first >= boundary - timedelta(days=20)


def test_a_rerun_reads_the_pinned_versions_and_writes_the_same_bytes(stocked: Scene) -> None:
    first = stocked.transform()
    assert [(table.dataset, table.version, table.rows) for table in first.tables] == [("orders", 1, 120), ("prices", 1, 62)]
    stocked.add("orders", orders(40, first=120), "more")
    assert stocked.transform() == first
    later = stocked.transform(Run(run_id="run-2", execution_arn="arn", project="shop"))
    assert [(table.version, table.rows) for table in later.tables] == [(2, 160), (1, 62)]
    assert later.train.sha256 != first.train.sha256
    facts = stocked.registry.run("shop", "run-1").dataset
    assert facts is not None
    assert (facts.train_rows, facts.holdout_end, facts.git_commit) == (first.train_rows, first.holdout_end, "abc123")


def test_of_rows_with_the_same_key_the_last_commit_counts(stocked: Scene) -> None:
    before = {row[0]: row for row in stocked.read(stocked.transform().train)}
    number, made_at, _, size, paid = orders(120)[50]
    corrected: Row = (number, made_at, 77.0, size, not paid)
    stocked.add("orders", [corrected], "correction")
    record = stocked.transform(Run(run_id="run-2", execution_arn="arn", project="shop"))
    after = {row[0]: row for row in stocked.read(record.train)}
    assert after[50] == (50, made_at, 77.0, size, before[50][4], not paid)
    assert {key: row for key, row in after.items() if key != 50} == {key: row for key, row in before.items() if key != 50}


def test_rows_without_a_label_are_left_out(scene: Scene) -> None:
    rows = [(*row[:4], None if int(str(row[0])) % 10 == 5 else row[4]) for row in orders(120)]
    scene.add("orders", rows, "orders")
    scene.add("prices", prices(31), "prices")
    record = scene.transform()
    ids = [row[0] for row in scene.read(record.train) + scene.read(record.holdout)]
    assert ids and all(number % 10 != 5 for number in ids)


@pytest.mark.parametrize("delay", [24, 0])
def test_a_row_dated_in_the_future_makes_no_label_due_and_stops_no_training(tmp_path: Path, delay: int) -> None:
    toml = {"label_delay_hours = 24": f"label_delay_hours = {delay}"}
    started = START + timedelta(hours=6 * 119 + 1)
    registry = MemoryRegistry(clock=lambda: started.replace(tzinfo=UTC))
    scene = Scene(tmp_path, shop(tmp_path, toml=toml), folder_tables(tmp_path / "lake"), MemoryStore(), registry)
    scene.add("orders", orders(120), "orders")
    scene.add("prices", prices(31), "prices")
    honest = scene.transform()
    scene.add("orders", [(9999, datetime(2099, 1, 1), 3.5, "S", True)], "typo")
    later = scene.transform(Run(run_id="run-2", execution_arn="arn", project="shop"))
    known = "SELECT max(made_at) FROM read_parquet(?)"
    # The clock stands an hour after the last order: what was ordered within the delay before it is still open.
    last = max(row[1] for row in orders(120) if row[1] <= started - timedelta(hours=delay))  # type: ignore[operator,type-var]
    assert scene.read(later.holdout, known) == [(last,)]
    assert later.train_rows >= honest.train_rows
    assert scene.transform(Run(run_id="run-2", execution_arn="arn", project="shop")) == later


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (0, "orders has no data yet"),
        (5, "holdout|train"),
        (30, "train part of shop has . labelled rows, split.minimum_train_rows is 20"),
    ],
)
def test_too_little_data_says_what_is_missing(scene: Scene, count: int, reason: str) -> None:
    scene.add("prices", prices(31), "prices")
    if count:
        scene.add("orders", orders(count), "orders")
    with pytest.raises(NotEnoughData, match=reason):
        scene.transform()


def test_one_class_is_not_enough(scene: Scene) -> None:
    scene.add("orders", [(*row[:4], True) for row in orders(120)], "orders")
    scene.add("prices", prices(31), "prices")
    with pytest.raises(NotEnoughData, match="one class only"):
        scene.transform()


def test_a_leak_stops_the_run_before_anything_is_written(stocked: Scene, tmp_path: Path) -> None:
    cheat = {"p.market\n": "avg(p.market) OVER () AS market\n"}
    with pytest.raises(LeakageFound, match="'market'"):
        stocked.transform(project=shop(tmp_path / "cheat", sql=cheat))
    assert stocked.artifacts.list("") == []


def test_a_random_split_is_used_only_when_configured_and_repeats(stocked: Scene, tmp_path: Path) -> None:
    project = shop(tmp_path / "random", toml={"[split]\n": '[split]\nby = "random"\nholdout_fraction = 0.3\nseed = 7\n'})
    record = stocked.transform(project=project)
    train = {row[0] for row in stocked.read(record.train)}
    holdout = {row[0] for row in stocked.read(record.holdout)}
    assert not train & holdout and len(train | holdout) == 116
    assert 20 <= len(holdout) <= 50
    assert min(holdout) < max(train)
    assert stocked.transform(project=project) == record


def test_an_unknown_project_is_not_found(stocked: Scene) -> None:
    with pytest.raises(NotFound, match="no project 'bakery'; known: shop"):
        stocked.transform(Run(run_id="r", execution_arn="", project="bakery"))


def test_candidates_start_with_first_values_and_are_drawn_once(tmp_path: Path) -> None:
    model = shop(tmp_path).model
    drawn = candidates(model)
    assert drawn[0] == Candidate(index=0, parameters={"C": 1.0, "fit_intercept": True})
    assert drawn == candidates(model) and len(drawn) == 3
    assert len({str(candidate.parameters) for candidate in drawn}) == 3
    every = candidates(model.model_copy(update={"candidates": 64}))
    assert len(every) == len({str(candidate.parameters) for candidate in every}) == 6
    assert candidates(model.model_copy(update={"search": {}})) == [Candidate(index=0, parameters={})]


def test_times_with_a_zone_are_kept_as_utc(stocked: Scene) -> None:
    record = stocked.transform()
    assert record.train_start.tzinfo == UTC and isinstance(record.train_start, datetime)
