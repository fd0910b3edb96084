from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.shared import executions, history
from cli.shared.console import Output
from cli.shared.failures import Failure
from cli.shared.platform import Platform
from tests.unit.cli.fakes import START, StepFunctions, event


def test_steps_carry_names_durations_and_order() -> None:
    events = [
        event(0, "ExecutionStarted"),
        event(0, "PassStateEntered", name="Begin"),
        event(0, "PassStateExited", name="Begin"),
        event(1, "TaskStateEntered", name="Transform"),
        event(4, "TaskStateExited", name="Transform"),
        event(4, "TaskStateEntered", name="Train"),
    ]
    transform, train = history.read_steps(events)
    assert (transform.name, transform.seconds, transform.error) == ("Transform", 3.0, None)
    assert (train.name, train.ended, train.seconds) == ("Train", None, None)


def test_a_retry_that_succeeds_is_no_failure() -> None:
    events = [
        event(0, "TaskStateEntered", name="Train"),
        event(1, "LambdaFunctionFailed", error="Throttled", cause="slow down"),
        event(2, "LambdaFunctionSucceeded"),
        event(3, "TaskStateExited", name="Train"),
    ]
    (step,) = history.read_steps(events)
    assert step.error is None
    assert step.seconds == 3.0


def test_a_caught_failure_keeps_its_name_and_the_message_inside_its_cause() -> None:
    events = [
        event(0, "TaskStateEntered", name="Train"),
        event(
            1, "TaskFailed", error="NotEnoughData", cause=json.dumps({"errorMessage": "12 rows", "errorType": "NotEnoughData"})
        ),
        event(1, "TaskStateExited", name="Train"),
        event(1, "TaskStateEntered", name="NotifyFailure"),
        event(2, "TaskStateExited", name="NotifyFailure"),
    ]
    train, notify = history.read_steps(events)
    assert (train.error, train.cause) == ("NotEnoughData", "12 rows")
    assert notify.error is None


def test_the_run_is_the_name_up_to_the_first_dot() -> None:
    assert executions.run_id("july") == "july"
    assert executions.run_id("july.r3") == "july"


def failing(states: StepFunctions) -> str:
    cause = json.dumps({"errorMessage": "only 12 labelled rows", "errorType": "NotEnoughData"})
    arn = states.add("train_and_deploy", "july", "FAILED", error="NotEnoughData", cause=cause, input='{"project": "flights"}')
    states.histories[arn] = [
        event(0, "TaskStateEntered", name="Transform"),
        event(2, "TaskStateExited", name="Transform"),
        event(2, "MapStateEntered", name="Tune"),
        event(3, "MapStateExited", name="Tune"),
        event(3, "TaskStateEntered", name="NotifyFailure"),
        event(4, "TaskStateExited", name="NotifyFailure"),
    ]
    return arn


def test_a_failed_execution_names_step_cause_and_next_step(aws: Platform, states: StepFunctions) -> None:
    execution = executions.follow(aws, failing(states), Output(as_json=True))
    with pytest.raises(Failure) as caught:
        executions.require_success(execution)
    assert "step Tune" in caught.value.where
    assert caught.value.cause == "NotEnoughData: only 12 labelled rows"
    assert "data push" in caught.value.next_step
    assert "pipelines rerun july" in caught.value.next_step


def test_following_gives_up_at_its_deadline(aws: Platform, states: StepFunctions) -> None:
    arn = states.add("monitor", "slow", "RUNNING", stopDate=None)
    with pytest.raises(Failure, match="still running"):
        executions.follow(aws, arn, Output(as_json=True), deadline=0)


def test_starting_a_name_again_finds_the_first(aws: Platform, states: StepFunctions) -> None:
    first = executions.start(aws, "monitor", "one", {"project": "flights"})
    assert executions.start(aws, "monitor", "one", {"project": "flights"}) == first
    assert states.started == ["one"]


def test_rerun_keeps_the_run_and_its_input(aws: Platform, states: StepFunctions) -> None:
    failing(states)
    states.outcomes = [{"status": "FAILED", "error": "Throttled"}, {"status": "SUCCEEDED", "output": "{}"}]
    arn, started = executions.rerun(aws, "train_and_deploy", "july")
    assert started
    assert arn.endswith(":july.r2")
    assert states.executions[arn]["input"] == '{"project": "flights"}'
    arn, started = executions.rerun(aws, "train_and_deploy", "july.r2")
    assert arn.endswith(":july.r3")
    assert executions.rerun(aws, "train_and_deploy", "july") == (arn, False)
    assert states.started == ["july.r2", "july.r3"]


def test_a_name_that_is_another_projects_run_is_refused(aws: Platform, states: StepFunctions, runner: CliRunner) -> None:
    states.add("train_and_deploy", "july", "SUCCEEDED", input='{"project": "energy"}', output="{}")
    result = runner.invoke(app, ["train", "flights", "--name", "july", "--stage", "dev"])
    assert (result.exit_code, states.started) == (1, [])
    assert "july is a run of project energy" in result.stderr


def test_starting_a_name_again_finds_its_latest_attempt(aws: Platform, states: StepFunctions) -> None:
    failing(states)
    again = states.add("train_and_deploy", "july.r2", "SUCCEEDED", input='{"project": "flights"}')
    assert executions.start(aws, "train_and_deploy", "july", {"project": "flights"}) == again


def test_the_attempt_that_counts_is_the_latest(aws: Platform, states: StepFunctions) -> None:
    failing(states)
    states.add("train_and_deploy", "july.r2", "ABORTED")
    states.add("train_and_deploy", "july.r3", "SUCCEEDED", output='{"version": {"version": 4}}')
    states.add("monitor", "july", "FAILED")
    for name in ("july", "july.r2", "july.r3"):
        found = executions.read_latest(aws, "train_and_deploy", name)
        assert (found.name, found.output) == ("july.r3", {"version": {"version": 4}})
    assert executions.latest(aws, "ingest", "july") is None
    with pytest.raises(Failure, match="ingest:july does not exist"):
        executions.read_latest(aws, "ingest", "july")


def test_what_succeeded_is_started_again_only_when_asked_anew(aws: Platform, states: StepFunctions) -> None:
    states.add("monitor", "june", "SUCCEEDED", input='{"project": "flights"}')
    assert executions.rerun(aws, "monitor", "june")[1] is False
    assert executions.rerun(aws, "monitor", "june", anew=True)[1] is True
    assert states.started == ["june.r2"]


def test_reruns_have_a_maximum(aws: Platform, states: StepFunctions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "MAX_ATTEMPTS", 2)
    failing(states)
    states.add("train_and_deploy", "july.r2", "FAILED")
    with pytest.raises(Failure, match="the run has 2 attempts"):
        executions.rerun(aws, "train_and_deploy", "july")
    assert states.started == []


def test_rerun_of_what_never_ran_is_refused(aws: Platform) -> None:
    with pytest.raises(Failure, match="no execution 'nothing'"):
        executions.rerun(aws, "train_and_deploy", "nothing")


def test_show_as_json_and_for_people(aws: Platform, states: StepFunctions, runner: CliRunner) -> None:
    failing(states)
    shown = json.loads(runner.invoke(app, ["pipelines", "show", "july", "--stage", "dev", "--json"]).stdout)
    assert shown["failed_step"] == "Tune"
    assert [step["name"] for step in shown["steps"]] == ["Transform", "Tune", "NotifyFailure"]
    assert shown["started"].startswith(START.date().isoformat())
    text = runner.invoke(app, ["pipelines", "show", "july", "--stage", "dev"]).stdout
    assert "only 12 labelled rows" in text
    assert "rerun july" in text


def test_list_names_every_machine(aws: Platform, states: StepFunctions, runner: CliRunner) -> None:
    failing(states)
    states.add("ingest", "e-1", "SUCCEEDED")
    found = json.loads(runner.invoke(app, ["pipelines", "list", "--stage", "dev", "--json"]).stdout)["executions"]
    assert {(entry["machine"], entry["name"], entry["status"]) for entry in found} == {
        ("train_and_deploy", "july", "FAILED"),
        ("ingest", "e-1", "SUCCEEDED"),
    }
    only = json.loads(runner.invoke(app, ["pipelines", "list", "--machine", "ingest", "--stage", "dev", "--json"]).stdout)
    assert [entry["name"] for entry in only["executions"]] == ["e-1"]


def test_rerun_command_reports_the_new_failure(aws: Platform, states: StepFunctions, runner: CliRunner) -> None:
    failing(states)
    states.outcomes = [{"status": "FAILED", "error": "BadProject", "cause": "no such column"}]
    result = runner.invoke(app, ["pipelines", "rerun", "july", "--stage", "dev", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["cause"] == "BadProject: no such column"
