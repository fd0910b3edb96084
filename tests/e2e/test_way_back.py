"""The loop's way back on deployed parts: harm, alarm, governor, retraining, canary under traffic, and back by hand.

A firm is reorganised: what went to one queue goes to another from one day on. The model knows nothing of it, and the platform
has to notice by the labels alone. At the end everything is taken down.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.shared.signing import Api
from driftless.records import RetrainDecision
from tests.e2e.checkout import Checkout
from tests.e2e.generated import write_tickets
from tests.e2e.observing import EMBEDDED, collected_ids, collected_rows, eventually, request_rows

INPUTS = ("channel", "product", "words", "attachments", "opened_at")
RECORD = {"channel": "mail", "product": "plan", "words": 40.0, "attachments": 0.0, "opened_at": "2026-05-29T12:00:00"}
# A retraining, its canary and what a slow machine makes of both.
RETRAINING_SECONDS = 400


def asked(row: dict[str, Any]) -> dict[str, Any]:
    return {name: float(row[name]) if name in ("words", "attachments") else row[name] for name in INPUTS}


@dataclass(frozen=True)
class Answer:
    """What came of the harm."""

    judged: dict[str, Any]
    decision: RetrainDecision
    run: dict[str, Any]
    answered: Counter[int]


@pytest.fixture(scope="module")
def answer(checkout: Checkout, tickets_champion: int, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """From the reorganisation to the end of the retraining, with somebody predicting all the while."""
    folder = tmp_path_factory.mktemp("reorganised")
    platform = checkout.platform()
    new = write_tickets(folder / "reorganised.csv", 3200, 40, after=50)
    pushed = checkout.json("data", "push", "tickets", "tickets", str(new))["files"][0]
    assert (pushed["accepted_rows"], pushed["quarantined_rows"]) == (3200, 0)

    # The last 16 days of it were served by the model that knows only the old firm.
    rows = request_rows(new, [*INPUTS, "queue"], 1280)[::2]
    (folder / "rows.jsonl").write_text("".join(json.dumps(asked(row)) + "\n" for row in rows), encoding="utf-8")
    answers = checkout.json("predict", "tickets", str(folder / "rows.jsonl"))["predictions"]
    assert {answer["model_version"] for answer in answers} == {tickets_champion}
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label"])
        writer.writerows([found["id"], row["queue"]] for found, row in zip(answers, rows, strict=True))
    assert checkout.json("labels", "push", "tickets", str(folder / "labels.csv"))["accepted"] == len(rows)
    ids = {found["id"] for found in answers}
    eventually(lambda: ids <= collected_ids(checkout, "tickets", folder), "every prediction in the lake")

    judged = checkout.json("monitor", "run", "tickets")
    decision = eventually(lambda: next(iter(platform.registry.retrains("tickets")), None), "the governor's decision")
    answered: Counter[int] = Counter()
    with Api(platform) as api:

        def over() -> dict[str, Any] | None:
            for _ in range(5):
                found = api.post("/tickets/predictions", {"records": [RECORD]})
                answered[found["model_version"]] += 1
            shown: dict[str, Any] = checkout.json("pipelines", "show", str(decision.run_id))
            return None if shown["status"] == "RUNNING" else shown

        run = eventually(over, "the end of the retraining", RETRAINING_SECONDS)
    return Answer(judged, decision, run, answered)


def test_harm_is_found_by_the_labels_and_wakes_the_governor_by_an_alarm(answer: Answer) -> None:
    assert answer.judged["harm_level"] == 2
    assert answer.judged["drift_level"] == 0, "the inputs are what they were"
    assert (answer.decision.reason, answer.decision.retrain) == ("harm", True)
    assert answer.decision.asked_by.startswith("alarm driftless-local-monitoring-"), answer.decision.asked_by


def test_the_challenger_beats_the_champion_and_serves_half_before_all(
    checkout: Checkout, answer: Answer, tickets_champion: int, tmp_path: Path
) -> None:
    assert answer.run["status"] == "SUCCEEDED", answer.run
    assert answer.run["output"]["evaluation"]["decision"] == "promote"
    assert answer.run["output"]["deployment"]["status"] == "promoted"
    new = tickets_champion + 1
    assert checkout.json("models", "list", "tickets")["endpoint"]["champion"] == new
    # While it baked, both answered; which of them is in each answer, and in the lake.
    assert set(answer.answered) == {tickets_champion, new}, answer.answered

    def variants() -> set[tuple[int, str]]:
        return {(version, variant) for _, version, variant in collected_rows(checkout, "tickets", tmp_path)}

    eventually(lambda: {(tickets_champion, "champion"), (new, "challenger")} <= variants(), "both variants in the lake")


def test_a_person_goes_back_and_serving_follows(checkout: Checkout, answer: Answer, tickets_champion: int) -> None:
    checkout.json("models", "rollback", "tickets")
    assert checkout.json("models", "list", "tickets")["endpoint"]["champion"] == tickets_champion
    with Api(checkout.platform()) as api:

        def followed() -> bool:
            return bool(api.post("/tickets/predictions", {"records": [RECORD]})["model_version"] == tickets_champion)

        eventually(followed, "the former champion's answers", 60)
    actions = [event.action for event in checkout.platform().registry.audit("tickets")]
    assert actions[-1] == "roll_back" and actions.count("promote") >= 2, actions


def test_a_row_that_breaks_a_rule_is_set_aside_and_the_others_are_taken(checkout: Checkout, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    good = [f"2026-04-25T{hour:02}:00:00,lab,11.5,20,60.5" for hour in range(24)]
    odd = ["2026-04-25T01:00:00,hall,999,20,60.5", "2026-04-25T01:00:00,castle,11.5,20,60.5"]
    path.write_text("\n".join(["at,building,temperature,occupancy,kwh", *good, *odd]) + "\n", encoding="utf-8")
    file = checkout.json("data", "push", "energy", "readings", str(path))["files"][0]
    assert (file["status"], file["accepted_rows"], file["quarantined_rows"]) == ("accepted", 24, 2)


def test_what_functions_say_can_be_read(checkout: Checkout, answer: Answer) -> None:
    said = checkout.run("logs", "governor", "--since", "1h", "--json")
    assert said.code == 0, said.stderr
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert lines and {line["function"] for line in lines} == {"governor"}


@pytest.mark.skipif(not EMBEDDED, reason="what is deployed at another's endpoint is not ours to delete")
def test_a_stage_leaves_what_retention_says_and_no_more(checkout: Checkout) -> None:
    """The last test: nothing is there any more after it."""
    platform = checkout.platform()
    gone = checkout.json("destroy", "--yes", timeout=300)
    assert len(gone["deleted"]) == 4
    # The account's permission to log belongs to all APIs of a region.
    assert {name.split()[0] for name in gone["kept"]} == {"AWS::IAM::Role", "AWS::ApiGateway::Account"}

    def names(service: str, operation: str, key: str, name: str | None) -> list[str]:
        pages = platform.client(service).get_paginator(operation).paginate()
        found = [entry if name is None else entry[name] for page in pages for entry in page[key]]
        return [each for each in found if "cdk-hnb659fds" not in each and "CDKToolkit" not in each]

    assert names("s3", "list_buckets", "Buckets", "Name") == []
    assert names("dynamodb", "list_tables", "TableNames", None) == []
    assert names("lambda", "list_functions", "Functions", "FunctionName") == []
    assert names("stepfunctions", "list_state_machines", "stateMachines", "name") == []
    assert names("logs", "describe_log_groups", "logGroups", "logGroupName") == []
    assert names("sns", "list_topics", "Topics", "TopicArn") == []
    assert names("events", "list_rules", "Rules", "Name") == []
    assert names("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName") == []
    assert [name for name in names("ssm", "describe_parameters", "Parameters", "Name") if name.startswith("/driftless/")] == []
    keys = [entry["KeyId"] for page in platform.client("kms").get_paginator("list_keys").paginate() for entry in page["Keys"]]
    states = [platform.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] for key in keys]
    assert set(states) <= {"PendingDeletion"}
