"""The whole loop on the embedded cloud, as a person drives it: by the ``driftless`` command alone.

The tests of this module run in order and depend on each other; each asserts on what the deployed services return.
"""

from __future__ import annotations

import base64
import csv
import gzip
import json
import os
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.shared.signing import Api, SigV4
from driftless.adapters.cloudwatch import CloudWatchMetrics
from driftless.adapters.s3 import S3Store
from driftless.modelling.receipts import collected
from local_cloud import deploy
from tests.e2e.checkout import Checkout
from tests.e2e.observing import EMBEDDED, collected_ids, eventually, functions_processes, request_rows


def test_status_is_healthy_before_any_model(checkout: Checkout) -> None:
    status = checkout.json("status")
    kinds = Counter(part["kind"] for part in status["parts"])
    folders = {folder.name for folder in (checkout.root / "projects").iterdir() if folder.is_dir()}
    assert {project["project"] for project in status["projects"]} == folders >= {"energy", "flights", "tickets"}
    assert kinds and not [part for part in status["parts"] if part["health"] == "bad"]


def test_prediction_without_a_model_is_a_clear_503(checkout: Checkout, tmp_path: Path) -> None:
    rows = tmp_path / "one.json"
    rows.write_text(json.dumps({"building": "lab", "temperature": 10.0, "occupancy": 5, "hour": 9}), encoding="utf-8")
    result = checkout.run("predict", "energy", str(rows), "--json")
    assert result.code != 0
    assert "503" in result.document["error"]["cause"]


def test_a_failing_step_fails_the_execution_notifies_and_a_rerun_resumes(checkout: Checkout, tickets_csv: Path) -> None:
    platform = checkout.platform()
    sqs, sns = platform.client("sqs"), platform.client("sns")
    queue = sqs.create_queue(QueueName="e2e-notifications")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = platform.parameter("topics/notifications")
    allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    policy = {"Version": "2012-10-17", "Statement": [{**allowed, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    failed = checkout.run("train", "tickets", "--name", "tickets-first")
    assert failed.code != 0
    shown = checkout.json("pipelines", "show", "tickets-first")
    assert (shown["status"], shown["error"], shown["failed_step"]) == ("FAILED", "NotEnoughData", "Transform")
    messages: list[str] = []

    def notified() -> bool:
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        messages.extend(message["Body"] for message in received)
        return any("NotEnoughData" in body and "tickets-first" in body for body in messages)

    eventually(notified, "a notification that names the run and the error")
    assert checkout.json("models", "list", "tickets")["endpoint"]["champion"] is None

    pushed = checkout.json("data", "push", "tickets", "tickets", str(tickets_csv))["files"][0]
    assert (pushed["status"], pushed["rows"], pushed["accepted_rows"]) == ("accepted", 4000, 4000)
    rerun = checkout.json("pipelines", "rerun", "tickets-first")
    assert rerun["status"] == "SUCCEEDED"
    models = checkout.json("models", "list", "tickets")
    assert models["endpoint"]["champion"] == 1
    assert [version["run_id"] for version in models["versions"]] == ["tickets-first"]


def test_multiclass_predicts_labels_and_monitors(checkout: Checkout, tickets_csv: Path, tmp_path: Path) -> None:
    rows = request_rows(tickets_csv, ["channel", "product", "words", "attachments", "opened_at", "queue"], 600)
    requests = tmp_path / "rows.jsonl"
    with requests.open("w", encoding="utf-8") as file:
        for row in rows:
            inputs = {name: row[name] for name in ("channel", "product", "opened_at")}
            file.write(json.dumps(inputs | {name: float(row[name]) for name in ("words", "attachments")}) + "\n")
    predictions = checkout.json("predict", "tickets", str(requests))["predictions"]
    assert len({prediction["id"] for prediction in predictions}) == 600
    right = sum(prediction["prediction"] == row["queue"] for prediction, row in zip(predictions, rows, strict=True))
    assert right > 480, "nine tenths of the queues follow the rule"

    labels = tmp_path / "labels.csv"
    with labels.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label"])
        writer.writerows([prediction["id"], row["queue"]] for prediction, row in zip(predictions, rows, strict=True))
    assert checkout.json("labels", "push", "tickets", str(labels))["accepted"] == 600

    def judged() -> dict[str, Any] | None:
        record = checkout.json("monitor", "run", "tickets")
        return record if record["predictions"] >= 600 and record["labels"] >= 600 else None

    record = eventually(judged, "monitoring that sees every prediction and label")
    assert (record["version"], record["predictions"], record["labels"]) == (1, 600, 600)
    assert record["harm_level"] == 0
    assert abs(record["metrics"]["accuracy"] - right / 600) < 1e-9


def test_regression_by_adding_a_folder(checkout: Checkout, energy_csv: Path) -> None:
    pushed = checkout.json("data", "push", "energy", "readings", str(energy_csv))["files"][0]
    again = checkout.json("data", "push", "energy", "readings", str(energy_csv))["files"][0]
    assert pushed["table_version"] == again["table_version"]
    run = checkout.json("train", "energy", "--name", "energy-first")
    evaluation = run["output"]["evaluation"]
    assert evaluation["decision"] == "promote"
    assert evaluation["metrics"]["mae"] < 8, "the generator's noise has a mean absolute size of 3.2"
    assert checkout.json("models", "list", "energy")["endpoint"]["champion"] == 1
    shown = checkout.json("models", "show", "energy", "1")
    assert shown["manifest"]["run_id"] == "energy-first"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("schema.csv", b"at,building\n2026-03-01T00:00:00,lab\n"),
        ("empty.csv", b""),
        ("header.csv", b"at,building,temperature,occupancy,kwh\n"),
        ("binary.csv", bytes(range(256)) * 64),
        ("größe 数据.csv", "at,building,temperature,occupancy,kwh\nnever,läb,warm,many,–\n".encode()),
    ],
)
def test_a_wrong_file_is_rejected_with_reasons_and_the_lake_stays(
    checkout: Checkout, tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    result = checkout.run("data", "push", "energy", "readings", str(path), "--json")
    assert result.code != 0
    document = json.loads(result.stdout)
    (file,) = document["files"]
    assert file["status"] == "rejected"
    assert file["reasons"] and file["table_version"] is None
    assert file["reasons"][0] in document["error"]["cause"]


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"not json", 400, None),
        (b"[]", 422, None),
        (b'{"records": []}', 422, "records"),
        (b'{"records": [{"building": "castle", "temperature": 1, "occupancy": 1, "hour": 1}]}', 422, "building"),
        (b'{"records": [{"building": "lab", "temperature": 1, "occupancy": "x", "hour": 1}]}', 422, "occupancy"),
        (b'{"records": [{"building": "lab", "temperature": 1, "occupancy": 1}]}', 422, "hour"),
        (b'{"records": [{"building": "lab", "temperature": 1, "occupancy": 1, "hour": 1, "extra": 1}]}', 422, "extra"),
    ],
)
def test_a_bad_request_is_a_4xx_problem_that_names_the_field(
    checkout: Checkout, body: bytes, status: int, named: str | None
) -> None:
    platform = checkout.platform()
    auth = SigV4(platform.session.get_credentials(), platform.session.region_name)
    url = f"{platform.api_url}/energy/predictions"
    response = httpx.post(url, content=body, headers={"Content-Type": "application/json"}, auth=auth, trust_env=False, timeout=30)
    assert response.status_code in (400, status), response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    if named:
        assert named in json.dumps(response.json()["errors"])


@pytest.mark.usefixtures("energy_champion")
def test_a_thousand_predictions_survive_a_collector_killed_twice(checkout: Checkout, tmp_path: Path) -> None:
    """On an endpoint of somebody else the collector is left alone."""
    record = {"building": "tower", "temperature": 11.5, "occupancy": 120, "hour": 10, "at": "2026-04-19T10:00:00"}
    returned: list[str] = []
    platform = checkout.platform()

    def call(name: str) -> None:
        with Api(platform) as api:
            for index in range(25):
                reply = api.post("/energy/predictions", {"records": [record]}, request_id=f"{name}-{index}")
                returned.extend(prediction["id"] for prediction in reply["predictions"])

    def send(name: str, calls: int) -> list[Future[None]]:
        return [pool.submit(call, f"{name}-{number}") for number in range(calls)]

    with ThreadPoolExecutor(max_workers=8) as pool:
        waiting = send("first", 16)
        killed: set[int] = set()
        for name in ("second", "third"):
            # The next collector starts because records wait for it, so killing it at once interrupts a delivery.
            victims = EMBEDDED and eventually(
                lambda: [p for p in functions_processes(checkout, "collector") if p.pid not in killed], "a collector", 60
            )
            for victim in victims or ():
                victim.kill()
                killed.add(victim.pid)
            waiting += send(name, 12)
        for result in waiting:
            result.result()
    assert len(killed) >= 2 or not EMBEDDED
    assert len(set(returned)) == 1000
    eventually(lambda: set(returned) <= collected_ids(checkout, "energy", tmp_path), "every returned id in Parquet")
    assert collected_ids(checkout, "energy", tmp_path) == set(returned)

    store, metrics = S3Store(platform.parameter("buckets/lake"), client=platform.client("s3")), platform.client("cloudwatch")
    since, until = datetime.now(UTC) - timedelta(hours=3), datetime.now(UTC) + timedelta(minutes=1)
    where = {"Stage": platform.stage, "Project": "energy"}

    def every_minute_is_there() -> bool:
        counted = CloudWatchMetrics("Driftless", client=metrics).minutes("Predictions", where, since, until)
        # A response that was lost is repeated under the same id, and counts twice in both.
        return sum(counted.values()) >= 1000 and collected(store, "energy", since, until) == counted

    eventually(every_minute_is_there, "receipts for a thousand predictions despite killed collectors", 60)


@pytest.mark.usefixtures("energy_champion")
def test_a_batch_that_failed_is_collected_from_its_queue(checkout: Checkout, tmp_path: Path) -> None:
    """From the queue to the lake; the message is put there by hand, in the form that Lambda gives its record of a failure."""
    line = {
        "kind": "prediction",
        "id": "failed-before-0",
        "request_id": "failed-before",
        "project": "energy",
        "time": datetime.now(UTC).isoformat(),
        "event_time": "2026-04-19T10:00:00+00:00",
        "version": 1,
        "variant": "champion",
        "inputs": {"building": "tower", "temperature": 11.5, "occupancy": 120, "hour": 10},
        "output": {"prediction": 40.5},
        "latency_us": 100,
    }
    events = [{"id": "1", "timestamp": int(time.time() * 1000), "message": json.dumps(line)}]
    content = gzip.compress(json.dumps({"messageType": "DATA_MESSAGE", "logEvents": events}).encode())
    failed = {"requestPayload": {"awslogs": {"data": base64.b64encode(content).decode()}}}
    platform = checkout.platform()
    queue = platform.parameter("queues/collector-failures")
    platform.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(failed))
    eventually(lambda: "failed-before-0" in collected_ids(checkout, "energy", tmp_path), "the prediction of a failed batch", 60)

    def empty() -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = platform.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return [found[name] for name in names] == ["0", "0"]

    eventually(empty, "a queue that is worked off", 60)


@pytest.mark.skipif(not EMBEDDED, reason="kills the embedded cloud, which another endpoint is not")
@pytest.mark.usefixtures("energy_champion")
def test_kill_9_in_the_middle_of_a_pipeline_loses_nothing(checkout: Checkout) -> None:
    before = checkout.json("models", "list", "energy")
    # The run comes as far as scoring, and not further.
    for process in functions_processes(checkout, "scoring"):
        process.suspend()
    checkout.json("train", "energy", "--name", "energy-second", "--no-wait")
    platform = checkout.platform()
    arn = f"{platform.machine('train_and_deploy').replace(':stateMachine:', ':execution:')}:energy-second"
    states = platform.client("stepfunctions")

    def in_the_middle() -> bool:
        events = states.get_execution_history(executionArn=arn)["events"]
        entered = {event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event}
        return "Score" in entered

    eventually(in_the_middle, "a run under way")
    os.kill(checkout.server()["pid"], signal.SIGKILL)
    checkout.json("up", timeout=900)
    assert checkout.json("pipelines", "show", "energy-second")["status"] == "ABORTED"
    after = checkout.json("models", "list", "energy")
    assert after["endpoint"] == before["endpoint"]
    assert checkout.json("pipelines", "rerun", "energy-second")["status"] == "SUCCEEDED"
    versions = checkout.json("models", "list", "energy")["versions"]
    assert sorted(version["run_id"] for version in versions) == ["energy-first", "energy-second"]


def test_a_second_up_changes_nothing(checkout: Checkout) -> None:
    platform = checkout.platform()
    before = platform.parameters
    dropped = checkout.json("up", timeout=900)["not_emulated"]
    assert dropped == [] or not EMBEDDED, "the templates are deployed property by property"
    assert checkout.platform().parameters == before
    assert not [part for part in checkout.json("status")["parts"] if part["health"] == "bad"]


def test_the_cdk_finds_no_difference_to_what_is_deployed(checkout: Checkout) -> None:
    """Synthesise from the sources, as a person would; the templates of the deploy are not used."""
    endpoint, state = checkout.platform().endpoint, checkout.root / ".driftless"
    context = ["--context", "stage=local", "--context", f"commit={deploy.commit(checkout.root)}"]
    result = subprocess.run(
        ["node_modules/.bin/cdk", "diff", "--fail", "--all", "--output", str(checkout.root / "cdk.diff"), *context],
        cwd=checkout.root,
        env=deploy.environment(endpoint, state / "cdk-home", checkout.environment),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Number of stacks with differences: 0" in result.stdout + result.stderr
