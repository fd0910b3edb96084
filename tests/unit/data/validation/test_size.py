"""What a sender invents cannot make a step's payload grow, nor the time that a verdict takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from driftless.records import ValidationRecord
from tests.unit.data.validation.test_validate import HEADER, TOML, Scene, project

SMALL = 64_000
WORST = "\U000e0001\x01\"'\\" * 20


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, project(tmp_path))


def size(record: ValidationRecord) -> int:
    """As JSON in ASCII, the longest form there is."""
    return len(json.dumps(record.model_dump(mode="json")))


def row(number: int, **more: object) -> str:
    return json.dumps({"id": number, "at": "2026-01-01", "size": "S", "price": 1, "mail": None, "paid": None, **more})


def test_a_key_for_every_line_is_counted_and_only_the_first_are_named(scene: Scene) -> None:
    record = scene.send("\n".join(row(number, **{f"{WORST}{number:08d}": 1}) for number in range(6000)))
    assert (record.status, record.accepted_rows) == ("accepted", 6000)
    assert size(record) < SMALL
    assert record.reasons[-1].startswith("and ") and record.reasons[-1].endswith(" more reasons, see the report")
    report = json.loads(scene.lake.get(record.report.key))
    assert len(report["reasons"]) == 101
    assert report["reasons"][-1] == "5900 more columns are not in the project and were dropped"


def test_a_header_of_thousands_of_unknown_columns_is_still_read(scene: Scene) -> None:
    names = ",".join(f"unknown column number {number}" for number in range(20_000))
    record = scene.send(f"{HEADER.strip()},{names}\n1,2026-01-01,1.5,,S,{',' * 20_000}\n")
    assert (record.status, record.accepted_rows) == ("accepted", 1)
    assert size(record) < SMALL


def test_missing_columns_among_thousands_of_unknown_ones_are_named_in_short(tmp_path: Path) -> None:
    columns = "".join(f'column_of_the_project_{number:04d} = {{ type = "integer" }}\n' for number in range(1500))
    wide = Scene(tmp_path, project(tmp_path, TOML.replace("size = {", columns + "size = {", 1)))
    names = ",".join(f"column_of_the_file_{number}" for number in range(20_000))
    record = wide.send(f"{HEADER.strip()},{names}\n")
    assert record.status == "rejected" and size(record) < SMALL
    assert record.reasons[0].startswith("column 'column_of_the_project_0000' is missing (the file has 'column_of_the_file_")
    (reason,) = json.loads(wide.lake.get(record.report.key))["reasons"]
    assert reason.endswith("; 1400 more columns are missing")


def test_every_rule_of_a_wide_dataset_broken_by_the_worst_texts_is_named_in_short(tmp_path: Path) -> None:
    names = [f"measured_{number:03d}" for number in range(300)]
    columns = "".join(f'{name} = {{ type = "integer", nullable = true, level = "warn" }}\n' for name in names)
    wide = Scene(tmp_path, project(tmp_path, TOML.replace("size = {", columns + "size = {", 1)))
    lines = [row(number, **dict.fromkeys(names, WORST)) for number in range(6)]
    record = wide.send("\n".join(lines))
    assert record.status == "accepted" and size(record) < SMALL
    assert 5 < len(record.rules) < 300
    assert record.reasons == [f"and {300 - len(record.rules)} more broken rules, see the report"]
    assert len(json.loads(wide.lake.get(record.report.key))["rules"]) == 300


def test_a_name_as_long_as_a_header_may_be_is_shown_in_part(scene: Scene) -> None:
    record = scene.send(f"{HEADER.strip()},{'x' * 130_000}\n1,2026-01-01,1.5,,S,,\n")
    assert record.status == "accepted" and size(record) < SMALL
    assert record.reasons == [f"column '{'x' * 80}'… is not in the project and was dropped"]


def test_a_column_that_differs_from_another_in_case_only_is_refused(scene: Scene) -> None:
    record = scene.send("Id," + HEADER + "7,1,2026-01-01,1,,S,\n")
    assert record.reasons == ["column 'id' appears again in other case; rename or remove one of the two"]
    lines = scene.send(row(1) + "\n" + row(2, ID=7))
    assert (lines.status, lines.reasons) == ("accepted", ["column 'ID' is not in the project and was dropped"])


@pytest.mark.parametrize("end", ["\u2028", "\x0b", "\x0c", "\x85", "\x1c"])
def test_a_header_ends_only_where_its_line_ends(scene: Scene, end: str) -> None:
    record = scene.send(HEADER.replace("\n", f",no{end}te\n") + "1,2026-01-01,1.5,,S,,x\n")
    assert (record.status, record.rows) == ("accepted", 1)
    assert record.reasons == [f"column {f'no{end}te'!r} is not in the project and was dropped"]


@pytest.mark.parametrize("text", ["x" * 200_000, HEADER.strip() + "," + "x" * 900_000])
def test_a_first_line_that_is_no_header_is_refused_however_long(scene: Scene, text: str) -> None:
    assert scene.send(text + "\n").reasons == ["the first line holds a field of more than 131072 characters: no CSV header"]


def test_an_error_of_the_engine_quotes_nothing_of_a_file_with_personal_values(scene: Scene) -> None:
    record = scene.send(b"PAR1" + b"jane@example.org" + b"\0" * 50 + b"PAR1")
    assert record.reasons == ["the file cannot be read as PARQUET: InvalidInputException"]
