"""Retraining and rollback on a deployed stage: harm, alarm, governor, retraining, canary under traffic, manual rollback.

From one day on, tickets of one queue go to another. The inputs do not change, so only the labels show that the model does harm.
The last test destroys the stage.
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
# Enough for a retraining and its canary on a slow machine.
RETRAINING_SECONDS = 400


def record(row: dict[str, Any]) -> dict[str, Any]:
    return {name: float(row[name]) if name in ("words", "attachments") else row[name] for name in INPUTS}


@dataclass(frozen=True)
class Retrained:
    """What followed the harm: the report, the decision, the run, and the predictions by version meanwhile."""

    judged: dict[str, Any]
    decision: RetrainDecision
    run: dict[str, Any]
    predictions: Counter[int]


@pytest.fixture(scope="module")
def retrained(checkout: Checkout, tickets_champion: int, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    """From the changed labels to the end of the retraining, with prediction requests all the time."""
    folder = tmp_path_factory.mktemp("reorganised")
    platform = checkout.platform()
    new = write_tickets(folder / "reorganised.csv", 3200, 40, after=50)
    pushed = checkout.json("data", "push", "tickets", "tickets", str(new))["files"][0]
    assert (pushed["accepted_rows"], pushed["quarantined_rows"]) == (3200, 0)

    # The model of the old labels served the last 16 days.
    rows = request_rows(new, [*INPUTS, "queue"], 1280)[::2]
    (folder / "rows.jsonl").write_text("".join(json.dumps(record(row)) + "\n" for row in rows), encoding="utf-8")
    predictions = checkout.json("predict", "tickets", str(folder / "rows.jsonl"))["predictions"]
    assert {found["model_version"] for found in predictions} == {tickets_champion}
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label"])
        writer.writerows([found["id"], row["queue"]] for found, row in zip(predictions, rows, strict=True))
    assert checkout.json("labels", "push", "tickets", str(folder / "labels.csv"))["accepted"] == len(rows)
    ids = {found["id"] for found in predictions}
    eventually(lambda: ids <= collected_ids(checkout, "tickets", folder), "every prediction in the lake")

    judged = checkout.json("monitor", "run", "tickets")
    decision = eventually(lambda: next(iter(platform.registry.retrains("tickets")), None), "the governor's decision")
    served: Counter[int] = Counter()
    with Api(platform) as api:

        def over() -> dict[str, Any] | None:
            for _ in range(5):
                found = api.post("/tickets/predictions", {"records": [RECORD]})
                served[found["model_version"]] += 1
            shown: dict[str, Any] = checkout.json("pipelines", "show", str(decision.run_id))
            return None if shown["status"] == "RUNNING" else shown

        run = eventually(over, "the end of the retraining", RETRAINING_SECONDS)
    return Retrained(judged, decision, run, served)


def test_labels_show_harm_and_its_alarm_triggers_the_governor(retrained: Retrained) -> None:
    assert retrained.judged["harm_level"] == 2
    assert retrained.judged["drift_level"] == 0, "the inputs are what they were"
    assert (retrained.decision.reason, retrained.decision.retrain) == ("harm", True)
    assert retrained.decision.asked_by.startswith("alarm driftless-local-monitoring-"), retrained.decision.asked_by


def test_the_challenger_beats_the_champion_and_serves_half_before_all(
    checkout: Checkout, retrained: Retrained, tickets_champion: int, tmp_path: Path
) -> None:
    assert retrained.run["status"] == "SUCCEEDED", retrained.run
    assert retrained.run["output"]["evaluation"]["decision"] == "promote"
    assert retrained.run["output"]["deployment"]["status"] == "promoted"
    new = tickets_champion + 1
    assert checkout.json("models", "list", "tickets")["endpoint"]["champion"] == new
    # While it baked, both versions served; each response and each row in the lake names its version.
    assert set(retrained.predictions) == {tickets_champion, new}, retrained.predictions

    def variants() -> set[tuple[int, str]]:
        return {(version, variant) for _, version, variant in collected_rows(checkout, "tickets", tmp_path)}

    eventually(lambda: {(tickets_champion, "champion"), (new, "challenger")} <= variants(), "both variants in the lake")


def test_serving_follows_a_manual_rollback(checkout: Checkout, retrained: Retrained, tickets_champion: int) -> None:
    checkout.json("models", "rollback", "tickets")
    assert checkout.json("models", "list", "tickets")["endpoint"]["champion"] == tickets_champion
    with Api(checkout.platform()) as api:

        def followed() -> bool:
            return bool(api.post("/tickets/predictions", {"records": [RECORD]})["model_version"] == tickets_champion)

        eventually(followed, "predictions of the former champion", 60)
    actions = [event.action for event in checkout.platform().registry.audit("tickets")]
    assert actions[-1] == "roll_back" and actions.count("promote") >= 2, actions


def test_a_row_that_breaks_a_rule_is_quarantined_and_the_others_are_accepted(checkout: Checkout, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    good = [f"2026-04-25T{hour:02}:00:00,lab,11.5,20,60.5" for hour in range(24)]
    odd = ["2026-04-25T01:00:00,hall,999,20,60.5", "2026-04-25T01:00:00,castle,11.5,20,60.5"]
    path.write_text("\n".join(["at,building,temperature,occupancy,kwh", *good, *odd]) + "\n", encoding="utf-8")
    file = checkout.json("data", "push", "energy", "readings", str(path))["files"][0]
    assert (file["status"], file["accepted_rows"], file["quarantined_rows"]) == ("accepted", 24, 2)


def test_logs_shows_the_lines_of_a_function(checkout: Checkout, retrained: Retrained) -> None:
    said = checkout.run("logs", "governor", "--since", "1h", "--json")
    assert said.code == 0, said.stderr
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert lines and {line["function"] for line in lines} == {"governor"}


@pytest.mark.skipif(not EMBEDDED, reason="a stage at a given endpoint is not deleted")
def test_destroy_leaves_only_what_is_retained(checkout: Checkout) -> None:
    """The last test: no stage exists after it."""
    platform = checkout.platform()
    gone = checkout.json("destroy", "--yes", timeout=300)
    assert len(gone["deleted"]) == 4
    # The account's permission to log is shared by all APIs of a region.
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
