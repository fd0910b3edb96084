"""Validation of one landed file: what is accepted, what is quarantined, what is refused, and that nothing makes it crash."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from driftless.adapters.local import FolderStore
from driftless.data.validation import Validate
from driftless.definition.loading import load
from driftless.definition.project import Project
from driftless.errors import BadProject, NotFound
from driftless.records import Ref, ValidationRecord, ValidationRequest

TOML = """
name = "shop"
title = "Orders"
task = "binary"

[datasets.orders]
event_time = "at"
key = ["id"]
null_values = ["", "NA"]
max_quarantined = 0.5

[datasets.orders.columns]
id = { type = "integer" }
at = { type = "timestamp" }
price = { type = "number", nullable = true, range = [0, 1000] }
mail = { type = "string", nullable = true, pii = true, pattern = "@" }
size = { type = "string", allowed = ["S", "M"] }
paid = { type = "boolean", nullable = true, level = "warn" }

[[datasets.orders.rules]]
name = "paid_has_price"
sql = "NOT paid OR price IS NOT NULL"
level = "LEVEL"

[features]
base = "orders"

[features.columns]
size = { type = "category" }

[target]
name = "is_paid"
expression = "paid"

[model]
estimator = "sklearn.linear_model.LogisticRegression"

[gates]
primary = "log_loss"
"""
NOW = datetime(2026, 6, 1, tzinfo=UTC)
HEADER = "id,at,price,mail,size,paid\n"
GOOD = (
    '1,2026-01-01T10:00:00Z,1.5,a@b.c,S,true\n2,2026-01-01 12:30,,,M,false\n3,2026-01-01T10:00:00+02:00,3,"ä ""x"", @\nz",S,NA\n'
)


def project(folder: Path, toml: str = TOML, level: str = "quarantine") -> Project:
    (folder / "shop").mkdir(exist_ok=True)
    (folder / "shop" / "project.toml").write_text(toml.replace("LEVEL", level), encoding="utf-8")
    (folder / "shop" / "features.sql").write_text('SELECT id, "at", size FROM orders', encoding="utf-8")
    return load(folder / "shop")


class Scene:
    def __init__(self, folder: Path, definition: Project, landing: FolderStore | None = None) -> None:
        self.landing, self.lake = landing or FolderStore(folder / "landing"), FolderStore(folder / "lake")
        self.validate = Validate(landing=self.landing, lake=self.lake, projects={"shop": definition}, clock=lambda: NOW)

    def send(self, content: bytes | str, key: str = "shop/orders/file") -> ValidationRecord:
        self.landing.put(key, content.encode() if isinstance(content, str) else content)
        return self.validate(ValidationRequest(bucket="landing", key=key))

    def rows(self, key: str, query: str) -> list[tuple[object, ...]]:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found: list[tuple[object, ...]] = connection.execute(query, [str(self.lake.folder / key)]).fetchall()
            return found


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, project(tmp_path))


STAGED = 'SELECT id, "at"::VARCHAR, price, mail, size, paid, _source_row FROM read_parquet(?) ORDER BY _source_row'
EXPECTED = [
    (1, "2026-01-01 10:00:00+00", 1.5, "a@b.c", "S", True, 1),
    (2, "2026-01-01 12:30:00+00", None, None, "M", False, 2),
    (3, "2026-01-01 08:00:00+00", 3.0, 'ä "x", @\nz', "S", None, 3),
]


def as_parquet(folder: Path) -> bytes:
    target = folder / "in.parquet"
    rows = (
        "(1, TIMESTAMPTZ '2026-01-01 10:00:00+00', 1.5, 'a@b.c', 'S', true), "
        "(2, TIMESTAMPTZ '2026-01-01 12:30:00+00', 'nan'::DOUBLE, NULL, 'M', false), "
        "(3, TIMESTAMPTZ '2026-01-01 08:00:00+00', 3.0, 'ä \"x\", @\nz', 'S', NULL)"
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        columns = 'id, "at", price::DOUBLE AS price, mail, size, paid'
        connection.execute(
            f"COPY (SELECT {columns} FROM (VALUES {rows}) AS v(id, \"at\", price, mail, size, paid)) TO '{target}'"
        )
    return target.read_bytes()


def as_json() -> str:
    rows = [
        {"id": 1, "at": "2026-01-01T10:00:00Z", "price": 1.5, "mail": "a@b.c", "size": "S", "paid": True},
        {"id": 2, "at": "2026-01-01 12:30", "size": "M", "paid": False},
        {"size": "S", "id": 3, "at": "2026-01-01T10:00:00+02:00", "price": 3, "mail": 'ä "x", @\nz', "paid": None},
    ]
    return "\n".join(json.dumps(row) for row in rows)


@pytest.mark.parametrize(
    "form",
    ["csv", "csv.gz", "bom", "utf-16", "crlf", "semicolon", "reordered", "no newline at the end", "parquet", "json", "json.gz"],
)
def test_the_same_rows_in_any_form_are_staged_alike(scene: Scene, tmp_path: Path, form: str) -> None:
    text = HEADER + GOOD
    contents: dict[str, bytes | str] = {
        "csv": text,
        "csv.gz": gzip.compress(text.encode()),
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "utf-16": text.encode("utf-16"),
        "crlf": text.replace("\n", "\r\n").replace('@\r\nz"', '@\nz"'),
        "semicolon": text.replace(",", ";").replace("; @", ", @"),
        "reordered": "size,id,at,paid,mail,price\nS,1,2026-01-01T10:00:00Z,true,a@b.c,1.5\nM,2,2026-01-01 12:30,false,,\n"
        'S,3,2026-01-01T10:00:00+02:00,NA,"ä ""x"", @\nz",3\n',
        "no newline at the end": text.rstrip("\n"),
        "parquet": as_parquet(tmp_path),
        "json": as_json(),
        "json.gz": gzip.compress(as_json().encode()),
    }
    record = scene.send(contents[form])
    assert record.status == "accepted", record.reasons
    assert (record.rows, record.accepted_rows, record.quarantined_rows, record.quarantine) == (3, 3, 0, None)
    assert record.staged is not None
    assert scene.rows(record.staged.key, STAGED) == EXPECTED
    source = scene.rows(record.staged.key, "SELECT DISTINCT _source FROM read_parquet(?)")
    assert source == [(record.source.sha256,)]


def test_a_bad_row_is_quarantined_with_its_reasons_and_the_others_are_staged(scene: Scene) -> None:
    bad = (
        "x,2026-01-01,1,a@b,S,true\n"  # no integer
        "11,yesterday,1,a@b,S,true\n"  # no time
        "12,2026-01-01,1e9,a@b,S,true\n"  # out of range
        "13,2026-01-01,1,secret.person,S,true\n"  # pattern
        "14,2026-01-01,1,a@b,XL,true\n"  # not allowed
        "15,2026-01-01,,a@b,S,true\n"  # rule
        "1,2026-01-01,1,a@b,S,true\n"  # corrects row 1
        "16.5,2026-01-01,inf,a@b,,maybe\n"  # four things at once
        "17,2026-01-01,1\n"  # too few fields
        "18,2026-01-01,1,a@b,S,true,more\n"  # too many
    )
    rows = "".join(f"{number},2026-01-02,1,,S,\n" for number in range(20, 30))
    record = scene.send(HEADER + GOOD + bad + rows)
    assert record.status == "accepted", record.reasons
    assert (record.rows, record.accepted_rows, record.quarantined_rows) == (23, 13, 10)
    assert record.staged is not None and record.quarantine is not None
    assert {rule.rule: rule.failed_rows for rule in record.rules} == {
        "id.type": 2, "at.type": 1, "price.type": 1, "price.range": 1, "mail.pattern": 1, "size.not_null": 1, "size.allowed": 1,
        "paid.type": 1, "unique_key": 1, "paid_has_price": 1, "well_formed": 2,
    }  # fmt: skip
    kept = scene.rows(record.quarantine.key, "SELECT _source_row, _line, _reasons, id, mail FROM read_parquet(?)")
    assert kept[:2] == [(1, None, ["unique_key"], "1", "a@b.c"), (4, None, ["id.type"], "x", "a@b")]
    assert kept[7][2] == ["id.type", "price.type", "size.not_null", "paid.type"]
    assert [(line, reasons) for _, line, reasons, *_ in kept[8:]] == [
        (13, ["well_formed: missing columns"]),
        (14, ["well_formed: too many columns"]),
    ]
    assert "secret.person" in [row[4] for row in kept]


def test_of_rows_with_the_same_key_the_last_good_one_counts(scene: Scene) -> None:
    rows = (
        "1,2026-01-01,9999,,S,\n"  # out of range, and corrected by the next
        "1,2026-01-01,10,,S,\n"
        "2,2026-01-01,20,,S,\n"  # good, and the next is no correction
        "2,2026-01-01,9999,,S,\n"
        "3,2026-01-01,30,,S,\n"  # good twice
        "3,2026-01-01,31,,S,\n"
        "x,2026-01-01,1,,S,\n"  # no key at all
        "x,2026-01-01,2,,S,\n"
        "4,2026-01-01,40,,S,maybe\n"  # a warning takes nothing out
        "5,2026-01-01,50,,S,\n"
    )
    record = scene.send(HEADER + rows)
    assert record.staged is not None and record.quarantine is not None
    staged = scene.rows(record.staged.key, "SELECT id, price FROM read_parquet(?) ORDER BY _source_row")
    assert staged == [(1, 10.0), (2, 20.0), (3, 31.0), (4, 40.0), (5, 50.0)]
    reasons = scene.rows(record.quarantine.key, "SELECT _source_row, _reasons FROM read_parquet(?)")
    assert reasons == [
        (1, ["price.range"]),
        (4, ["price.range"]),
        (5, ["unique_key"]),
        (7, ["id.type"]),
        (8, ["id.type"]),
    ]


def test_a_column_may_have_the_name_of_an_internal_column_or_table(tmp_path: Path) -> None:
    """The flags of the checks are b0, b1 and so on, which is no reason for a column not to be."""
    names = [f"b{number}" for number in range(12)]
    columns = "".join(f"{name} = {{ type = 'integer', nullable = true, range = [0, 5] }}\n" for name in names)
    toml = TOML.replace("paid = {", columns + "paid = {")
    scene = Scene(tmp_path, project(tmp_path, toml))
    header = HEADER.strip() + "," + ",".join(names) + "\n"
    record = scene.send(header + "1,2026-01-01,10,,S,true" + ",1" * 12 + "\n2,2026-01-01,10,,S,true" + ",9" * 12 + "\n")
    assert (record.accepted_rows, record.quarantined_rows) == (1, 1)


def test_a_row_dated_further_ahead_than_the_dataset_allows_is_quarantined(tmp_path: Path) -> None:
    rows = GOOD + "4,2026-06-02T00:00:00Z,1,,S,\n5,2026-06-02T00:00:00.000001Z,1,,S,\n6,2099-01-01,1,,S,\n"
    record = Scene(tmp_path, project(tmp_path)).send(HEADER + rows)
    assert (record.status, record.accepted_rows, record.quarantined_rows) == ("accepted", 4, 2)
    assert [(rule.rule, rule.failed_rows) for rule in record.rules] == [("at.too_far_ahead", 2)]
    assert record.rules[0].examples[1] == "row 6: '2099-01-01'"
    planned = project(tmp_path, TOML.replace("max_quarantined = 0.5", "max_quarantined = 0.5\nahead_hours = 100000"))
    record = Scene(tmp_path / "planned", planned).send(HEADER + rows)
    assert (record.accepted_rows, [(rule.rule, rule.failed_rows) for rule in record.rules]) == (5, [("at.too_far_ahead", 1)])


def test_reports_name_rows_but_never_personal_values(scene: Scene) -> None:
    record = scene.send(HEADER + GOOD + "4,2026-01-01,2000,secret.person,S,true\n")
    report = scene.lake.get(record.report.key).decode()
    rules = {rule.rule: rule for rule in record.rules}
    assert rules["mail.pattern"].examples == ["row 4"]
    assert rules["price.range"].examples == ["row 4: '2000'"]
    assert "secret.person" not in report and "secret.person" not in record.model_dump_json()
    assert json.loads(report)["rules"] == [rule.model_dump() for rule in record.rules]


def test_rule_levels_decide_between_warning_quarantine_and_rejection(tmp_path: Path) -> None:
    broken = HEADER + GOOD + "4,2026-01-01,,,S,true\n"
    outcome = {}
    for level in ("warn", "quarantine", "fail"):
        record = Scene(tmp_path / level, project(tmp_path, level=level)).send(broken)
        outcome[level] = (record.status, record.accepted_rows, record.quarantined_rows)
    assert outcome == {"warn": ("accepted", 4, 0), "quarantine": ("accepted", 3, 1), "fail": ("rejected", 0, 1)}


def test_too_large_a_share_of_bad_rows_rejects_the_file(scene: Scene) -> None:
    record = scene.send(HEADER + "1,2026-01-01,1,,S,\nx,2026-01-01,1,,S,\ny,2026-01-01,1,,S,\n")
    assert (record.status, record.staged) == ("rejected", None)
    assert "2 of 3 rows (66.7%) would be quarantined, more than max_quarantined = 50.0%" in record.reasons
    assert record.quarantine is not None
    assert scene.lake.list("staging/") == []


def test_missing_repeated_and_unknown_columns_are_named(scene: Scene) -> None:
    missing = scene.send("id,at,Price,mail,paid\n1,2026-01-01,1,,\n")
    assert missing.status == "rejected"
    assert missing.reasons == ["column 'price' is missing (the file has 'Price'); column 'size' is missing"]
    repeated = scene.send("id,id,at,price,mail,size,paid\n1,1,2026-01-01,1,,S,\n")
    assert repeated.reasons == ["column 'id' appears more than once"]
    unknown = scene.send("extra," + HEADER + "q,1,2026-01-01,1,,S,\n")
    assert unknown.status == "accepted"
    assert unknown.reasons == ["column 'extra' is not in the project and was dropped"]


HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", r"empty \(0 bytes\)"),
    "white space": (b" \n\n \n", "white space"),
    "byte order mark alone": (b"\xef\xbb\xbf", "white space"),
    "header only": (HEADER.encode(), "no rows, only a header"),
    "another header": (b"a,b\n1,2\n", "names no column of the dataset"),
    "random bytes": (bytes(range(256)) * 50, "is not UTF-8|binary"),
    "NUL bytes": (HEADER.encode() + b"1\x00,2\n", "NUL byte"),
    "latin-1": (HEADER.encode() + "1,2026-01-01,1,é@b,S,\n".encode("latin-1"), "byte 0xE9 near line 2 is not UTF-8"),
    "half a UTF-16 character": (b"\xff\xfea", "is not UTF-16"),
    "zip": (b"PK\x03\x04....", "zip archive"),
    "damaged gzip": (gzip.compress(HEADER.encode() * 100)[:60], "gzip file is damaged"),
    "gzip of nothing": (gzip.compress(b""), "empty"),
    "gzip twice": (gzip.compress(gzip.compress(b"x")), "packed twice"),
    "damaged parquet": (b"PAR1" + b"\0" * 100 + b"PAR1", "cannot be read as PARQUET"),
    "short parquet": (b"PAR1", "cannot be read as PARQUET"),
    "JSON array": (b'[{"id": 1}]', "one JSON object a line"),
    "broken JSON": (b'{"id": 1,\n"at"\n', "column 'id' is missing"),
    "open quote": (
        (HEADER + GOOD + '4,2026-01-01,1,"a@b,S,\n' + "5,2026-01-01,1,,S,\n" * 9).encode(),
        "quote opened near line 5 swallows",
    ),
    "endless line": (HEADER.encode() + b"1" * 20_000_000, "none of 1 rows is acceptable"),
    "endless header": (b"id," + b"x" * 2_000_000, "first line is longer"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_rejected_with_a_reason_and_nothing_is_staged(scene: Scene, name: str) -> None:
    content, reason = HOSTILE[name]
    record = scene.send(content)
    assert (record.status, record.staged) == ("rejected", None)
    assert len(record.reasons) == 1
    assert re.search(reason, record.reasons[0]), record.reasons
    assert json.loads(scene.lake.get(record.report.key))["reasons"] == record.reasons
    assert scene.lake.list("staging/") == []


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("alone.csv", "not of the form <project>/<dataset>/<file>"),
        ("shop/orders/", "not of the form"),
        ("bakery/orders/a.csv", "no project 'bakery'; known: shop"),
        ("shop/sales/a.csv", "project 'shop' has no dataset 'sales'; known: orders"),
    ],
)
def test_a_file_with_an_unknown_project_or_dataset_is_rejected(tmp_path: Path, key: str, reason: str) -> None:
    class Anything(FolderStore):
        def download(self, key: str, path: Path, *, version_id: str | None = None) -> Ref:
            path.write_bytes(b"x")
            return self.put("elsewhere", b"x")

    definition = project(tmp_path)
    lake = FolderStore(tmp_path / "lake")
    validate = Validate(landing=Anything(tmp_path / "landing"), lake=lake, projects={"shop": definition}, clock=lambda: NOW)
    record = validate(ValidationRequest(bucket="landing", key=key))
    assert record.status == "rejected" and reason in record.reasons[0]
    assert lake.list("reports/unattributed/") == [record.report.key]


def test_a_deleted_object_is_not_found(scene: Scene) -> None:
    with pytest.raises(NotFound):
        scene.validate(ValidationRequest(bucket="landing", key="shop/orders/gone"))


def test_a_repeat_writes_the_same_objects_and_returns_the_same_record(scene: Scene) -> None:
    content = HEADER + GOOD + "x,2026-01-01,1,,S,\n"
    first = scene.send(content)
    objects = {key: scene.lake.get(key) for key in scene.lake.list("")}
    assert scene.send(content) == first
    assert {key: scene.lake.get(key) for key in scene.lake.list("")} == objects


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('sql = "NOT paid', 'sql = "NOT payed', "datasets.orders.rules.0.sql"),
        ('pattern = "@"', 'pattern = "(?<=a)@"', "datasets.orders.columns.mail.pattern"),
    ],
)
def test_a_rule_or_pattern_that_is_not_sql_is_an_error_of_the_project(tmp_path: Path, old: str, new: str, key: str) -> None:
    scene = Scene(tmp_path, project(tmp_path, TOML.replace(old, new)))
    with pytest.raises(BadProject, match=key) as caught:
        scene.send(HEADER + GOOD)
    assert caught.value.key == key and caught.value.file == "projects/shop/project.toml"


def test_a_rule_that_fails_on_a_row_is_an_error_of_the_project_without_values(tmp_path: Path) -> None:
    toml = TOML.replace("NOT paid OR price IS NOT NULL", "CAST(mail AS INTEGER) > 0")
    with pytest.raises(BadProject, match="TRY_CAST") as caught:
        Scene(tmp_path / "personal", project(tmp_path, toml)).send(HEADER + "1,2026-01-01,1,jane@example.org,S,\n")
    assert caught.value.key == "datasets.orders.rules.0.sql"
    assert "jane" not in str(caught.value) and caught.value.__cause__ is None
    assert "ConversionException" in caught.value.reason
    with pytest.raises(BadProject, match=r"Could not convert string 'a@b'"):
        Scene(tmp_path / "open", project(tmp_path, toml.replace("pii = true, ", ""))).send(HEADER + "1,2026-01-01,1,a@b,S,\n")
