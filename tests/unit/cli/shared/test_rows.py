from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from cli.commands.labels import label_of, label_records
from cli.commands.predict import answer_rows
from cli.shared.failures import Failure
from cli.shared.platform import read_project
from cli.shared.rows import api_records, chunks, moment, read_rows, typed

COLUMNS = "hour,minute,weekday,sched_minutes,distance,carrier,origin,dest,temp,time_hour,tailnum"


def csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_csv_cells_get_the_types_of_the_project(tmp_path: Path) -> None:
    file = csv(
        tmp_path / "rows.csv",
        COLUMNS,
        "6,30,1,NA,1400,UA,EWR,IAH,,2013-05-01T10:00:00Z,N1",
        "7,0,2,61.5,227,DL,LGA,ATL,39.02,,N2",
    )
    first, second = api_records(read_project("flights"), file)
    assert first == {
        "hour": 6.0, "minute": 30.0, "weekday": 1.0, "sched_minutes": None, "distance": 1400.0, "carrier": "UA", "origin": "EWR",
        "dest": "IAH", "temp": None, "time_hour": "2013-05-01T10:00:00+00:00",
    }  # fmt: skip
    assert second["sched_minutes"] == 61.5
    assert "time_hour" not in second
    assert "tailnum" not in second


def test_parquet_and_json_lines_give_the_same_records_as_csv(tmp_path: Path) -> None:
    line = "6,30,1,61,1400,UA,EWR,IAH,39.02,2013-05-01T10:00:00Z,N1"
    file = csv(tmp_path / "rows.csv", COLUMNS, line)
    duckdb.sql(f"COPY (FROM read_csv('{file}')) TO '{tmp_path / 'rows.parquet'}'")
    duckdb.sql(f"COPY (FROM read_csv('{file}')) TO '{tmp_path / 'rows.jsonl'}' (FORMAT json)")
    project = read_project("flights")
    wanted = list(api_records(project, file))
    assert list(api_records(project, tmp_path / "rows.parquet")) == wanted
    assert list(api_records(project, tmp_path / "rows.jsonl")) == wanted


def test_a_missing_column_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    file = csv(tmp_path / "rows.csv", "hour,minute", "6,30")
    with pytest.raises(Failure, match="weekday, distance, carrier, origin, dest"):
        next(api_records(read_project("flights"), file))


def test_a_bad_cell_is_named_by_row_and_column(tmp_path: Path) -> None:
    file = csv(tmp_path / "rows.csv", COLUMNS, "6,30,1,61,1400,UA,EWR,IAH,1,,", "six,30,1,61,1400,UA,EWR,IAH,1,,")
    with pytest.raises(Failure, match="row 2: column hour: 'six' is not a number"):
        list(api_records(read_project("flights"), file))


def test_an_event_time_that_is_missing_is_left_out(tmp_path: Path) -> None:
    file = csv(tmp_path / "rows.csv", COLUMNS, "6,30,1,61,1400,UA,EWR,IAH,1,NA,N1")
    (record,) = api_records(read_project("flights"), file)
    assert "time_hour" not in record


@pytest.mark.parametrize("time", ["01/02/2013", "yesterday", "0001-01-01T00:00:00+14:00"])
def test_an_invalid_event_time_is_named_by_row_and_column(tmp_path: Path, time: str) -> None:
    file = csv(tmp_path / "rows.csv", COLUMNS, "6,30,1,61,1400,UA,EWR,IAH,1,,", f"6,30,1,61,1400,UA,EWR,IAH,1,{time},N1")
    with pytest.raises(Failure, match=f"row 2: column time_hour: '{re.escape(time)}' is not a time such as"):
        list(api_records(read_project("flights"), file))


def test_a_line_that_breaks_far_down_is_a_failure_that_says_where(tmp_path: Path) -> None:
    good = ["6,30,1,61,1400,UA,EWR,IAH,39.02,,N1"] * 60_001
    file = csv(tmp_path / "rows.csv", COLUMNS, *good, "6,30,1,61,1400,UA,EWR,IAH,39.02,,N1,and,more")
    with pytest.raises(Failure, match=r"file rows\.csv, after row \d+: .*60003"):
        list(api_records(read_project("flights"), file))


def test_an_unknown_file_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"rows\.xlsx has an unknown file type"):
        read_rows(tmp_path / "rows.xlsx")


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        ("3", "integer", 3),
        ("2.5", "number", 2.5),
        ("NA", "category", None),
        ("TRUE", "boolean", True),
        (float("nan"), "number", None),
    ],
)
def test_typed(value: object, kind: str, wanted: object) -> None:
    assert typed(value, kind) == wanted


@pytest.mark.parametrize(("value", "kind"), [("2.5", "integer"), ("inf", "number"), ("maybe", "boolean")])
def test_what_is_of_another_type_is_refused(value: object, kind: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        typed(value, kind)


def test_a_time_without_a_zone_is_utc() -> None:
    assert moment("2013-05-01 10:00:00") == "2013-05-01T10:00:00+00:00"
    assert moment("2013-05-01T10:00:00+02:00") == "2013-05-01T08:00:00+00:00"


def test_labels_take_the_type_of_the_task(tmp_path: Path) -> None:
    file = csv(tmp_path / "truth.csv", "id,label,observed_at", "a-0,true,2013-05-02T00:00:00Z", "a-1,0,", "a-2,1,NA")
    assert list(label_records(file, "binary")) == [
        {"id": "a-0", "label": True, "observed_at": "2013-05-02T00:00:00+00:00"},
        {"id": "a-1", "label": False},
        {"id": "a-2", "label": True},
    ]
    assert label_of("3", "multiclass") == "3"
    assert label_of("3", "regression") == 3.0


@pytest.mark.parametrize(
    ("line", "reason"), [(",true", "id is empty"), ("a,", "label is empty"), ("a,perhaps", "'perhaps' is not")]
)
def test_a_bad_label_is_named_by_row(tmp_path: Path, line: str, reason: str) -> None:
    file = csv(tmp_path / "truth.csv", "id,label", line)
    with pytest.raises(Failure, match="row 1") as caught:
        list(label_records(file, "binary"))
    assert reason in caught.value.cause


def test_chunks_lose_nothing() -> None:
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_answers_become_flat_rows() -> None:
    reply = {
        "model_version": 3,
        "variant": "champion",
        "predictions": [{"id": "a-0", "prediction": "x", "probabilities": {"x": 0.9, "y": 0.1}}],
    }
    assert list(answer_rows(reply, first_row=11)) == [
        {"row": 11, "id": "a-0", "prediction": "x", "p_x": 0.9, "p_y": 0.1, "model_version": 3, "variant": "champion"}
    ]


def test_a_mixed_answer_names_who_answered_each_row() -> None:
    each = [
        {"id": "a-0", "prediction": 1.0, "model_version": 3, "variant": "champion"},
        {"id": "a-1", "prediction": 2.0, "model_version": 4, "variant": "challenger"},
    ]
    rows = answer_rows({"model_version": 3, "variant": "mixed", "predictions": each}, first_row=1)
    assert [(row["model_version"], row["variant"]) for row in rows] == [(3, "champion"), (4, "challenger")]
