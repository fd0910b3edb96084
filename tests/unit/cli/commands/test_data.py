from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from cli.main import app
from cli.shared import landing
from cli.shared.console import Output
from cli.shared.failures import Failure
from cli.shared.platform import Platform, read_project
from driftless.records import IngestFacts
from tests.unit.cli.fakes import StepFunctions

CONTENT = "origin,temp\nEWR,39\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weather.csv"
    path.write_text(CONTENT)
    return path


def ingested(states: StepFunctions, platform: Platform, status: str = "accepted", definition: str = "", **more: Any) -> None:
    """What the ingest machine would have done about the object that lies in the landing bucket."""
    key = "flights/weather/weather.csv"
    head = platform.client("s3").head_object(Bucket="landing-bucket", Key=key)
    source = {"key": key, "version-id": head["VersionId"]}
    verdict = {"status": status, "rows": 10, "accepted_rows": 9, "quarantined_rows": 1, "reasons": more.pop("reasons", [])}
    output = {"validation": verdict} | ({"ingestion": {"version": 4, "duplicate": False}} if status == "accepted" else {})
    facts = {"input": json.dumps({"detail": {"object": source}}), "output": json.dumps(output), "startDate": datetime.now(UTC)}
    states.add("ingest", f"event-{len(states.executions)}", **{"status": "SUCCEEDED", **facts, **more})
    if status == "accepted" and "error" not in more:
        digest = head["Metadata"]["sha256"]
        report = f"reports/flights/weather/{digest}-{definition or read_project('flights').features_digest[:12]}.json"
        known = IngestFacts(key=key, sha256=digest, version=4, rows=9, quarantined_rows=1, report=report)
        platform.registry.record_ingest("flights", "weather", known)


@pytest.fixture
def rejecting(aws: Platform, states: StepFunctions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is pushed is rejected."""
    original = landing.upload

    def upload(*arguments: Any) -> Any:
        result = original(*arguments)
        ingested(states, aws, status="rejected", reasons=["column [dewp] is missing"])
        return result

    monkeypatch.setattr("cli.commands.data.upload", upload)


def push(platform: Platform, file: Path) -> tuple[list[landing.Pushed], datetime]:
    return landing.upload(platform, Output(as_json=True), "flights", "weather", [file])


def test_content_digest_travels_with_the_object(aws: Platform, file: Path) -> None:
    (pushed,), _ = push(aws, file)
    head = aws.client("s3").head_object(Bucket="landing-bucket", Key="flights/weather/weather.csv")
    assert head["Metadata"] == {"sha256": hashlib.sha256(CONTENT.encode()).hexdigest()}
    assert (pushed.version_id, pushed.sent) == (head["VersionId"], True)


def test_pushing_again_sends_nothing_once_it_was_ingested(aws: Platform, states: StepFunctions, file: Path) -> None:
    push(aws, file)
    ingested(states, aws)
    (again,), since = push(aws, file)
    assert not again.sent
    (result,) = landing.wait(aws, Output(as_json=True), [again], since)
    assert (result.status, result.accepted_rows, result.quarantined_rows, result.table_version) == ("accepted", 9, 1, 4)


def test_what_never_was_ingested_or_has_changed_is_sent_again(aws: Platform, states: StepFunctions, file: Path) -> None:
    push(aws, file)
    (again,), _ = push(aws, file)
    assert again.sent
    ingested(states, aws)
    file.write_text(CONTENT + "JFK,40\n")
    (changed,), _ = push(aws, file)
    assert changed.sent


def test_what_another_definition_judged_is_sent_again(aws: Platform, states: StepFunctions, file: Path) -> None:
    push(aws, file)
    ingested(states, aws, definition="0123456789ab")
    (again,), _ = push(aws, file)
    assert again.sent
    ingested(states, aws)
    (settled,), _ = push(aws, file)
    assert not settled.sent


def test_a_failed_ingest_is_explained_and_mended_by_pushing_again(aws: Platform, states: StepFunctions, file: Path) -> None:
    pushed, since = push(aws, file)
    ingested(states, aws, status="accepted", error="StoreUnavailable", cause="503", output=None)
    states.executions[next(iter(states.executions))]["status"] = "FAILED"
    with pytest.raises(Failure, match="StoreUnavailable: 503"):
        landing.wait(aws, Output(as_json=True), pushed, since)
    (again,), _ = push(aws, file)
    assert again.sent


def test_waiting_has_a_deadline(aws: Platform, file: Path) -> None:
    pushed, since = push(aws, file)
    with pytest.raises(Failure, match=r"no finished execution for flights/weather/weather\.csv"):
        landing.wait(aws, Output(as_json=True), pushed, since, deadline=0)


@pytest.mark.usefixtures("rejecting")
def test_a_rejected_file_gives_its_reasons_and_exit_code_1(file: Path, runner: CliRunner) -> None:
    result = runner.invoke(app, ["data", "push", "flights", "weather", str(file), "--stage", "dev"])
    assert result.exit_code == 1
    assert "column [dewp] is missing" in result.stdout
    assert "push it again" in result.stderr


@pytest.mark.usefixtures("rejecting")
def test_a_rejection_as_json_is_one_document(file: Path, runner: CliRunner) -> None:
    result = runner.invoke(app, ["data", "push", "flights", "weather", str(file), "--stage", "dev", "--json"])
    document = json.loads(result.stdout)
    assert (result.exit_code, document["error"]["cause"]) == (1, "column [dewp] is missing")
    assert [(pushed["status"], pushed["reasons"]) for pushed in document["files"]] == [("rejected", ["column [dewp] is missing"])]


def test_files_of_one_name_are_refused_before_any_is_sent(aws: Platform, file: Path, runner: CliRunner) -> None:
    other = file.parent / "other" / file.name
    other.parent.mkdir()
    other.write_text("something else")
    result = runner.invoke(app, ["data", "push", "flights", "weather", str(file), str(other), "--stage", "dev"])
    assert result.exit_code == 1
    assert "several files have the name weather.csv" in result.stderr
    assert "Contents" not in aws.client("s3").list_objects_v2(Bucket="landing-bucket")


def test_a_long_history_is_not_read_again_and_again(aws: Platform, states: StepFunctions, file: Path) -> None:
    for number in range(350):
        states.add("ingest", f"old-{number}", "SUCCEEDED")
    (again, *_), since = push(aws, file)
    ingested(states, aws, status="accepted")
    states.executions[next(reversed(states.executions))]["status"] = "RUNNING"
    rounds: list[float] = []

    def sleep(seconds: float) -> None:
        rounds.append(seconds)
        if len(rounds) == 10:
            states.executions[next(reversed(states.executions))]["status"] = "SUCCEEDED"

    states.asked.clear()
    (result,) = landing.wait(aws, Output(as_json=True), [again], since, sleep=sleep)
    assert result.status == "accepted"
    assert (states.asked["list"], states.asked["describe"]) == (11, 2)
    assert rounds == sorted(rounds) and rounds[-1] > 2 * rounds[0]


def test_an_upload_that_is_not_allowed_is_explained(
    aws: Platform, file: Path, runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no s3:PutObject"}}, "PutObject")

    def refuse(*_: Any, **__: Any) -> None:
        try:
            raise denied
        except ClientError as error:
            raise S3UploadFailedError(f"Failed to upload: {error}")  # noqa: B904 - as boto3 raises it

    monkeypatch.setattr("boto3.s3.transfer.S3Transfer.upload_file", refuse)
    result = runner.invoke(app, ["data", "push", "flights", "weather", str(file), "--stage", "dev"])
    assert result.exit_code == 1
    assert "AWS PutObject" in result.stderr
    assert "AccessDenied: no s3:PutObject" in result.stderr


def test_accepted_rows_are_reported_as_json(aws: Platform, states: StepFunctions, file: Path, runner: CliRunner) -> None:
    push(aws, file)
    ingested(states, aws)
    result = runner.invoke(app, ["data", "push", "flights", "weather", str(file), "--stage", "dev", "--json"])
    (pushed,) = json.loads(result.stdout)["files"]
    assert (pushed["status"], pushed["sent"], pushed["quarantined_rows"]) == ("accepted", False, 1)


@pytest.mark.parametrize(
    ("project", "dataset", "said"),
    [("nope", "weather", "no project 'nope'"), ("flights", "nope", "one of: flights, weather")],
)
def test_names_are_checked_before_anything_is_sent(
    aws: Platform, file: Path, runner: CliRunner, project: str, dataset: str, said: str
) -> None:
    result = runner.invoke(app, ["data", "push", project, dataset, str(file), "--stage", "dev"])
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Contents" not in aws.client("s3").list_objects_v2(Bucket="landing-bucket")
