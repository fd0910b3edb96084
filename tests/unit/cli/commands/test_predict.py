"""predict and labels push: checked whole before anything is sent, and nothing that was answered is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from cli.commands.predict import request_id
from cli.main import app
from cli.shared.platform import Platform, read_project
from cli.shared.rows import sha256_of

HEADER = "hour,minute,weekday,sched_minutes,distance,carrier,origin,dest,temp"
ROW = "6,30,1,61,1400,UA,EWR,IAH,39.02"
MOST = read_project("flights").serving.max_records


class Server:
    """An API that answers predictions and takes labels, until ``left`` requests have been answered."""

    def __init__(self) -> None:
        self.requests: list[tuple[str | None, dict[str, Any]]] = []
        self.left = 1000
        self.classes: list[tuple[str, ...]] = [("true",)]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body, identity = json.loads(request.content), request.headers.get("x-request-id")
        if self.left == 0:
            return httpx.Response(400, json={"detail": "enough"})
        self.left -= 1
        self.requests.append((identity, body))
        if "labels" in body:
            return httpx.Response(202, json={"accepted": len(body["labels"])})
        known = self.classes[min(len(self.requests), len(self.classes)) - 1]
        probabilities = {name: 1 / len(known) for name in known}
        found = [
            {"id": f"{identity}-{index}", "prediction": True, "probabilities": probabilities}
            for index in range(len(body["records"]))
        ]
        return httpx.Response(200, json={"model_version": 3, "variant": "champion", "predictions": found})


@pytest.fixture
def server(aws: Platform, monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()
    monkeypatch.setattr("cli.shared.signing.httpx.HTTPTransport", lambda **_: httpx.MockTransport(found))
    return found


def rows(path: Path, count: int, last: str = ROW) -> Path:
    path.write_text("\n".join([HEADER, *[ROW] * (count - 1), last]) + "\n", encoding="utf-8")
    return path


def predict(runner: CliRunner, *arguments: str | Path) -> Any:
    return runner.invoke(app, ["predict", "flights", "--stage", "dev", *map(str, arguments)])


def test_a_wrong_last_row_is_found_before_anything_is_sent_or_overwritten(
    server: Server, runner: CliRunner, tmp_path: Path
) -> None:
    output = tmp_path / "out.csv"
    output.write_text("earlier")
    result = predict(runner, rows(tmp_path / "rows.csv", MOST + 1, ROW.replace("6", "six", 1)), "-o", output)
    assert (result.exit_code, server.requests, output.read_text()) == (1, [], "earlier")
    assert f"row {MOST + 1}" in result.stderr


def test_request_ids_follow_from_the_content_so_sending_again_is_the_same(
    server: Server, runner: CliRunner, tmp_path: Path
) -> None:
    file = rows(tmp_path / "rows.csv", MOST + 1)
    copy = rows(tmp_path / "copy.csv", MOST + 1)
    first, again = predict(runner, file), predict(runner, copy)
    assert first.stdout == again.stdout
    assert first.stdout.splitlines()[MOST + 1].startswith(f"{MOST + 1},{request_id('flights', sha256_of(file), MOST)}-0,")
    sent = [identity for identity, _ in server.requests]
    assert sent[:2] == sent[2:]
    assert len(set(sent)) == 2


def test_predictions_before_a_failure_are_kept(server: Server, runner: CliRunner, tmp_path: Path) -> None:
    server.left, output = 1, tmp_path / "out.jsonl"
    result = predict(runner, rows(tmp_path / "rows.csv", MOST + 1), "-o", output)
    assert result.exit_code == 1
    assert [json.loads(line)["row"] for line in output.read_text().splitlines()] == list(range(1, MOST + 1))
    assert f"{MOST} of {MOST + 1} rows are predicted" in result.stderr


def test_a_full_disk_names_the_output_and_the_rows_predicted(server: Server, runner: CliRunner, tmp_path: Path) -> None:
    full = tmp_path / "full.csv"
    full.symlink_to("/dev/full")
    result = predict(runner, rows(tmp_path / "rows.csv", 2), "-o", full)
    assert result.exit_code == 1
    assert f"output {full}" in result.stderr
    assert "No space left" in result.stderr
    assert "2 of 2 rows are predicted" in result.stderr


def test_as_json_a_failure_in_the_middle_is_one_document_with_the_answers(
    server: Server, runner: CliRunner, tmp_path: Path
) -> None:
    server.left = 1
    document = json.loads(predict(runner, rows(tmp_path / "rows.csv", MOST + 1), "--json").stdout)
    assert len(document["predictions"]) == MOST
    assert document["error"]["cause"] == "400 enough"


@pytest.mark.parametrize("output", ["missing/out.csv", "out.xlsx", "rows.csv"])
def test_an_output_that_cannot_be_is_refused_before_anything_is_sent(
    server: Server, runner: CliRunner, tmp_path: Path, output: str
) -> None:
    file = rows(tmp_path / "rows.csv", 2)
    content = file.read_text()
    result = predict(runner, file, "-o", tmp_path / output)
    assert (result.exit_code, server.requests, file.read_text()) == (1, [], content)


def test_a_class_that_only_a_later_answer_knows_is_said(server: Server, runner: CliRunner, tmp_path: Path) -> None:
    server.classes = [("x", "y"), ("x", "z")]
    result = predict(runner, rows(tmp_path / "rows.csv", MOST + 1))
    assert result.stdout.splitlines()[0] == "row,id,prediction,p_x,p_y,model_version,variant"
    assert result.stdout.splitlines()[-1].endswith(",True,0.5,,3,champion")
    assert f"column p_z is left out from row {MOST + 1} on" in result.stderr


def test_labels_are_checked_whole_before_the_first_is_sent(server: Server, runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "truth.csv"
    file.write_text("id,label\n" + "a,true\n" * 501 + "b,perhaps\n")
    result = runner.invoke(app, ["labels", "push", "flights", str(file), "--stage", "dev"])
    assert (result.exit_code, server.requests) == (1, [])
    assert "row 502" in result.stderr
    file.write_text("id,label\n" + "a,true\n" * 501)
    done = runner.invoke(app, ["labels", "push", "flights", str(file), "--stage", "dev", "--json"])
    assert json.loads(done.stdout) == {"accepted": 501}


@pytest.mark.parametrize(("command", "header"), [(["predict", "flights"], HEADER), (["labels", "push", "flights"], "id,label")])
def test_a_file_of_only_a_header_has_no_rows(
    server: Server, runner: CliRunner, tmp_path: Path, command: list[str], header: str
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(header + "\n")
    result = runner.invoke(app, [*command, str(file), "--stage", "dev"])
    assert (result.exit_code, server.requests) == (1, [])
    assert "it has no rows" in result.stderr
