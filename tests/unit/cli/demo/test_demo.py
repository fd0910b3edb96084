"""The demo's own parts: what it sends is real, complete and the same at every run; what it waits for is bounded."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.demo import flights, loop, replay
from cli.demo.__main__ import main, parse_months
from cli.demo.flights import Month
from cli.shared.console import Output
from cli.shared.failures import Failure
from cli.shared.platform import Platform, read_project
from tests.unit.cli.fakes import StepFunctions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flights")


def test_months_are_half_open_and_end_with_the_year() -> None:
    assert (Month(5).start, Month(5).end) == (datetime(2013, 5, 1, tzinfo=UTC), datetime(2013, 6, 1, tzinfo=UTC))
    assert Month(12).end == datetime(2014, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("dataset", flights.DATASETS)
def test_a_file_holds_its_month_only_and_is_the_same_when_cut_again(folder: Path, tmp_path: Path, dataset: str) -> None:
    first = flights.file_of(dataset, Month(5), folder).read_text()
    lines = first.splitlines()
    assert lines[0].endswith("time_hour")
    assert {line.rsplit(",", 1)[1][:7] for line in lines[1:]} == {"2013-05"}
    assert flights.file_of(dataset, Month(5), tmp_path).read_text() == first


def test_rows_are_real_flights_of_the_month_drawn_the_same_way_each_time(folder: Path) -> None:
    project = read_project("flights")
    rows = flights.rows(project, Month(6), 300, folder)
    assert rows == flights.rows(project, Month(6), 300, folder)
    assert len(rows) == 300
    assert set(rows[0].record) == {*project.features.columns, "time_hour"}
    times = [row.record["time_hour"] for row in rows]
    assert times == sorted(times)
    assert times[0].startswith("2013-06-01")
    assert times[-1].startswith("2013-06-30")
    assert {row.late for row in rows} == {True, False, None}
    known = datetime.fromisoformat(times[0]) + project.target.label_delay
    assert rows[0].known_at == known


def test_a_replay_sends_every_row_once_and_the_truth_of_those_that_arrived(
    aws: Platform, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str | None, dict[str, Any]]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        seen.append((request.url.path, request.headers.get("x-request-id"), body))
        if "labels" in body:
            return httpx.Response(202, json={"accepted": len(body["labels"])})
        ids = [f"{request.headers['x-request-id']}-{index}" for index in range(len(body["records"]))]
        return httpx.Response(200, json={"predictions": [{"id": identity} for identity in ids]})

    monkeypatch.setattr(httpx, "HTTPTransport", lambda **_: httpx.MockTransport(handle))
    rows = flights.rows(read_project("flights"), Month(6), 250, folder)
    sent = replay.replay(aws, Output(as_json=True), "flights", Month(6), rows)
    requests = [entry for entry in seen if entry[0].endswith("/predictions")]
    assert [len(body["records"]) for _, _, body in requests] == [100, 100, 50]
    assert [identity for _, identity, _ in requests] == [
        replay.request_id("flights", Month(6), position) for position in range(3)
    ]
    assert len(sent.ids) == 250
    assert sent.labels == sum(row.late is not None for row in rows)
    labels = {label["id"]: label["label"] for path, _, body in seen if path.endswith("/labels") for label in body["labels"]}
    first = replay.request_id("flights", Month(6), 0)
    assert [labels.get(f"{first}-{index}") for index in range(100)] == [row.late for row in rows[:100]]


def test_a_response_too_short_stops_the_replay(aws: Platform, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"predictions": []}))
    monkeypatch.setattr(httpx, "HTTPTransport", lambda **_: transport)
    rows = flights.rows(read_project("flights"), Month(6), 5, folder)
    with pytest.raises(Failure, match="5 rows sent, 0 predictions returned"):
        replay.replay(aws, Output(as_json=True), "flights", Month(6), rows)


def test_what_has_succeeded_is_not_started_again(aws: Platform, states: StepFunctions) -> None:
    out = Output(as_json=True)
    run, there = loop.settled(aws, out, "monitor", "june", {"project": "flights"})
    assert (run.name, there, states.started) == ("june", False, ["june"])
    again, there = loop.settled(aws, out, "monitor", "june", {"project": "flights"})
    assert (again.arn, there, states.started) == (run.arn, True, ["june"])


def test_what_failed_or_was_aborted_is_run_again(aws: Platform, states: StepFunctions) -> None:
    states.add("monitor", "june", "ABORTED")
    run, there = loop.settled(aws, Output(as_json=True), "monitor", "june", {"project": "flights"})
    assert (run.name, there) == ("june.r2", False)


def test_a_rerun_that_succeeded_is_what_counts(aws: Platform, states: StepFunctions) -> None:
    states.add("monitor", "june", "ABORTED")
    states.add("monitor", "june.r2", "SUCCEEDED", output="{}")
    run, there = loop.settled(aws, Output(as_json=True), "monitor", "june", {"project": "flights"})
    assert (run.name, there, states.started) == ("june.r2", True, [])


def test_what_somebody_else_was_said_to_start_must_exist(aws: Platform, states: StepFunctions) -> None:
    with pytest.raises(Failure, match="does not exist"):
        loop.settled(aws, Output(as_json=True), "train_and_deploy", "retrain-1")
    assert states.started == []


def test_polling_has_a_deadline() -> None:
    with pytest.raises(Failure, match="nothing happened within 0 s"):
        loop.poll(Output(as_json=True), "the governor", lambda: None, 0, "look")


def test_months_to_serve_follow_the_history() -> None:
    assert [month.number for month in parse_months("5,6")] == [5, 6]
    for wrong in ("4,5", "5,7", "x", "", "13"):
        with pytest.raises(argparse.ArgumentTypeError):
            parse_months(wrong)


def test_an_expected_failure_ends_with_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(*_: object) -> None:
        raise Failure("gates", "nobody serves", "look")

    monkeypatch.setattr("cli.demo.story.Story.run", fails)
    assert main(["--months", "5"]) == 1
    assert "nobody serves" in capsys.readouterr().err


def test_ctrl_c_says_that_it_can_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.demo.story.Story.run", interrupted)
    assert main([]) == 130
    assert "continues from here" in capsys.readouterr().err
