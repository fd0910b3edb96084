"""The event of each step, and the path of an execution after each decision."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.machine import Script, run
from tests.workflows.scripts import CONTRACTS, LANDED, TRAIN, happy, returning


def given(script: Script, name: str) -> list[dict[str, Any]]:
    return [event for called, event in script.calls if called == name]


def test_a_run_passes_each_step_the_records_it_declares() -> None:
    script = happy(candidates=3)
    outcome = run("train_and_deploy", script, TRAIN)
    assert outcome.status == "SUCCEEDED", outcome
    (transform,) = given(script, "Transform")
    assert transform["run"]["run_id"] == "run-1"
    assert transform["run"]["execution_arn"].endswith(":run-1")
    assert (transform["run"]["project"], transform["run"]["reason"]) == ("flights", "manual")
    for name, (request, _) in CONTRACTS.items():
        if name in ("Tuning", "Training", "Scoring", "Evaluation", "Registration"):
            assert all(set(event) == set(request.model_fields) for event in given(script, name)), name
    assert sorted(event["candidate"]["index"] for event in given(script, "Tuning")) == [0, 1, 2]
    assert [tuned["candidate"]["index"] for tuned in given(script, "Training")[0]["tuned"]] == [0, 1, 2]
    first, second = given(script, "Deployment")
    assert first.get("deployment") is None
    assert second["deployment"]["status"] == "baking"
    assert outcome.output["deployment"]["status"] == "promoted"
    assert outcome.messages == []


@pytest.mark.parametrize(("decision", "messages"), [("refuse", []), ("await_approval", ["Driftless: a model awaits approval"])])
def test_a_challenger_that_is_not_promoted_is_registered_without_a_rollout(decision: str, messages: list[str]) -> None:
    script = happy()
    returning(script, "Evaluation", decision=decision)
    outcome = run("train_and_deploy", script, TRAIN)
    assert outcome.status == "SUCCEEDED"
    assert script.called()[-1] == "Registration"
    assert [message["Subject"] for message in outcome.messages] == messages


@pytest.mark.parametrize(("judged", "sealed"), [("promote", "refuse"), ("refuse", "promote")])
def test_a_rerun_with_another_gate_decision_follows_the_registered_one(judged: str, sealed: str) -> None:
    script = happy()
    returning(script, "Evaluation", decision=judged)
    returning(script, "Registration", decision=sealed)
    outcome = run("train_and_deploy", script, TRAIN)
    assert outcome.status == "SUCCEEDED"
    assert ("Deployment" in script.called()) is (sealed == "promote")


def test_a_rollout_that_rolls_back_is_notified_and_is_not_a_failure() -> None:
    script = happy()
    returning(script, "Deployment", status="rolled_back", reasons=["errors 5 %"])
    outcome = run("train_and_deploy", script, TRAIN)
    assert outcome.status == "SUCCEEDED"
    assert script.called().count("Deployment") == 1
    (message,) = outcome.messages
    assert message["Subject"] == "Driftless: a rollout was rolled back"
    assert "errors 5 %" in message["Message"]


def test_an_accepted_file_is_committed() -> None:
    script = happy()
    outcome = run("ingest", script, LANDED)
    assert outcome.status == "SUCCEEDED"
    assert given(script, "Validation") == [{"bucket": "landing", "key": "flights/flights/a.csv", "version_id": "v1"}]
    (ingestion,) = given(script, "Ingestion")
    assert set(ingestion) == {"validation", "execution_arn"}
    assert ingestion["execution_arn"].startswith("arn:aws:states:")
    assert outcome.messages == []


def test_a_file_of_an_unversioned_bucket_is_taken_as_it_is() -> None:
    script = happy()
    event = {"detail": {"bucket": {"name": "landing"}, "object": {"key": "flights/flights/a.csv"}}}
    assert run("ingest", script, event).status == "SUCCEEDED"
    assert given(script, "Validation") == [{"bucket": "landing", "key": "flights/flights/a.csv"}]


def test_a_rejected_file_is_notified_with_reasons_and_never_ingested() -> None:
    script = happy()
    returning(script, "Validation", status="rejected", reasons=["column dest is missing"])
    outcome = run("ingest", script, LANDED)
    assert outcome.status == "SUCCEEDED"
    assert script.called() == ["Validation"]
    (message,) = outcome.messages
    assert message["Subject"] == "Driftless: a file was rejected"
    assert "flights/flights/a.csv" in message["Message"]
    assert "column dest is missing" in message["Message"]


@pytest.mark.parametrize("window", [{}, {"window_end": "2013-06-01T00:00:00Z"}])
def test_monitoring_judges_the_requested_window(window: dict[str, str]) -> None:
    script = happy()
    outcome = run("monitor", script, {"project": "flights", **window})
    assert outcome.status == "SUCCEEDED"
    (event,) = given(script, "Monitoring")
    assert event.pop("execution_arn").endswith(":run-1")
    assert event == {"project": "flights", **window}


@pytest.mark.parametrize("raised", [[], ["harm"], ["harm", "drift"]])
def test_monitoring_requests_a_retraining_again_for_each_level_that_stays_raised(raised: list[str]) -> None:
    script = happy()
    returning(script, "Monitoring", still_raised=raised)
    outcome = run("monitor", script, {"project": "flights"})
    assert outcome.status == "SUCCEEDED"
    requests = given(script, "Governor")
    assert [(event["project"], event["reason"]) for event in requests] == [("flights", reason) for reason in raised]
    assert [set(event) for event in requests] == [{"project", "reason", "event_id", "asked_by"}] * len(raised)
    assert len({event["event_id"] for event in requests}) == len(raised), "two signals are two requests"
    assert all(event["event_id"].endswith(":run-1") for event in requests), "a request tried again is the same"
    assert outcome.output["monitoring"]["still_raised"] == raised
    assert [decision["reason"] for decision in outcome.output.get("retraining", [])] == raised
