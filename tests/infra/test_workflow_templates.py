"""State machine files, their substitutions and their permissions agree; every step has a way to fail."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driftless import errors
from infra.constructs.workflow import UnmatchedPlaceholders, Workflow, placeholders
from infra.functions import FUNCTIONS
from tests.infra.conftest import ROOT, Synth

FILES = sorted((ROOT / "step_functions").glob("*.asl.json"))
MACHINES = {"ingest": "IngestMachine", "monitor": "MonitorMachine", "train_and_deploy": "TrainAndDeployMachine"}
CROWDED = "Lambda.TooManyRequestsException"
LAMBDA_ERRORS = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
}


def name_of(path: Path) -> str:
    return path.name.removesuffix(".asl.json")


def leaves(root: type[Exception]) -> set[str]:
    """Names of the classes of our error tree that nothing in the tree derives from."""
    ours = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, root)]
    return {c.__name__ for c in ours if not any(other is not c and issubclass(other, c) for other in ours)}


def walk(states: dict[str, Any], caught: bool = False) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every state with whether an enclosing Map catches its errors."""
    for name, state in states.items():
        yield name, state, caught
        if state["Type"] == "Map":
            yield from walk(state["ItemProcessor"]["States"], caught="Catch" in state)


def tasks(definition: dict[str, Any]) -> list[tuple[str, dict[str, Any], bool]]:
    return [entry for entry in walk(definition["States"]) if entry[1]["Type"] == "Task"]


@pytest.fixture(params=FILES, ids=name_of)
def path(request: pytest.FixtureRequest) -> Path:
    result: Path = request.param
    return result


@pytest.fixture
def definition(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def test_every_file_is_deployed(local: Synth) -> None:
    assert {name_of(path) for path in FILES} == set(MACHINES)
    assert len(local.resources("AWS::StepFunctions::StateMachine")) == len(FILES)


def test_placeholders_are_substitutions_are_grants(path: Path, local: Synth) -> None:
    machine = local.properties("AWS::StepFunctions::StateMachine", MACHINES[name_of(path)])
    substitutions = machine["DefinitionSubstitutions"]
    assert placeholders(path.read_text()) == set(substitutions)
    assert json.loads(machine["DefinitionString"]) == json.loads(path.read_text())
    role = local.properties("AWS::IAM::Policy", f"{MACHINES[name_of(path)]}RoleDefaultPolicy")
    granted: dict[str, set[str]] = {"lambda:InvokeFunction": set(), "sns:Publish": set()}
    for statement in role["PolicyDocument"]["Statement"]:
        action = str(statement["Action"])
        if action in granted:
            resources = statement["Resource"]
            granted[action] |= {json.dumps(r) for r in (resources if isinstance(resources, list) else [resources])}
    topic = json.dumps(substitutions.pop("Notifications"))
    assert granted == {"lambda:InvokeFunction": {json.dumps(arn) for arn in substitutions.values()}, "sns:Publish": {topic}}


def test_substitutions_name_their_own_function(path: Path, local: Synth) -> None:
    substitutions = local.properties("AWS::StepFunctions::StateMachine", MACHINES[name_of(path)])["DefinitionSubstitutions"]
    for name, arn in substitutions.items():
        expected = "Notifications" if name == "Notifications" else f"{name}Live"
        assert expected in json.dumps(arn), name
        assert name == "Notifications" or name.lower() in FUNCTIONS


def test_placeholders_without_target_are_refused(tmp_path: Path) -> None:
    from aws_cdk import App, Stack

    from infra.settings import for_stage

    file = tmp_path / "broken.asl.json"
    file.write_text('{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${Nobody}", "End": true}}}')
    with pytest.raises(UnmatchedPlaceholders, match=r"broken.asl.json: placeholders without target \['Nobody'\]"):
        Workflow(Stack(App(), "s"), "W", definition=file, targets={}, settings=for_stage("local"), alarm_topic=None)  # type: ignore[arg-type]


def test_machines_log_without_data_trace_and_end(definition: dict[str, Any], path: Path, local: Synth) -> None:
    assert definition["TimeoutSeconds"] > 0
    machine = local.properties("AWS::StepFunctions::StateMachine", MACHINES[name_of(path)])
    assert machine["TracingConfiguration"] == {"Enabled": True}
    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is False
    group = local.properties("AWS::Logs::LogGroup", f"{MACHINES[name_of(path)].removesuffix('Machine')}Logs")
    name = group["LogGroupName"]["Fn::Join"][1]
    assert name[0].startswith("/aws/vendedlogs/states/driftless-local-")
    assert "AWS::StackId" in json.dumps(name[-1])


def test_every_task_retries_catches_and_ends(definition: dict[str, Any]) -> None:
    for name, task, caught_by_map in tasks(definition):
        assert task["TimeoutSeconds"] > 0, name
        assert task["Retry"], name
        assert caught_by_map or "Catch" in task, name
        for retry in task["Retry"]:
            assert retry["MaxAttempts"] == (12 if retry["ErrorEquals"] == [CROWDED] else 3), name
            assert retry["JitterStrategy"] == "FULL", name


def test_every_catch_also_takes_what_states_all_leaves_out(definition: dict[str, Any]) -> None:
    """Step Functions documentation, "Handling errors": States.ALL does not catch States.DataLimitExceeded, its own name does."""
    catching = [state for _, state, caught_by_map in walk(definition["States"]) if "Catch" in state and not caught_by_map]
    assert catching
    for state in catching:
        too_large, anything = state["Catch"]
        assert too_large == {**anything, "ErrorEquals": ["States.DataLimitExceeded"]}
        assert anything["ErrorEquals"] == ["States.ALL"]


def test_an_end_that_no_catch_handles_raises_an_alarm(path: Path, local: Synth) -> None:
    """States.Runtime, a machine out of time and a stopped execution reach no catcher: alarms on the machine's own metrics do."""
    stack = "monitoring" if name_of(path) == "monitor" else "pipeline"
    (machine,) = (name for name in local.resources("AWS::StepFunctions::StateMachine", stack) if MACHINES[name_of(path)] in name)
    metrics = set()
    for alarm in local.resources("AWS::CloudWatch::Alarm", stack).values():
        properties = alarm["Properties"]
        if properties.get("Dimensions") == [{"Name": "StateMachineArn", "Value": {"Ref": machine.split("/")[1]}}]:
            metrics.add(properties["MetricName"])
            assert (properties["Namespace"], properties["Statistic"]) == ("AWS/States", "Sum")
            assert (properties["Threshold"], properties["TreatMissingData"]) == (1, "notBreaching")
            assert "Notifications" in json.dumps(properties["AlarmActions"])
            assert "pipelines list" in properties["AlarmDescription"]
    assert metrics == {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"}


def test_functions_retry_exactly_what_may_succeed_later(definition: dict[str, Any]) -> None:
    for name, task, _ in tasks(definition):
        if task["Resource"].startswith("${"):
            crowded, retry = task["Retry"]
            assert set(retry["ErrorEquals"]) == leaves(errors.RetryableError) | LAMBDA_ERRORS, name
            # An account may run as few as ten functions at a time: what it has no room for waits for minutes, not seconds.
            assert (crowded["ErrorEquals"], crowded["MaxDelaySeconds"]) == ([CROWDED], 60), name


def test_tasks_outlast_their_functions_and_machines_their_tasks(definition: dict[str, Any]) -> None:
    for name, task, _ in tasks(definition):
        if task["Resource"].startswith("${"):
            function = FUNCTIONS[task["Resource"].strip("${}").lower()]
            assert function.timeout < task["TimeoutSeconds"] < definition["TimeoutSeconds"], name


def test_only_what_the_embedded_cloud_understands(path: Path) -> None:
    text = path.read_text()
    for word in ("Assign", "ItemBatcher", "ResultWriter", "QueryLanguage", "JSONata"):
        assert f'"{word}"' not in text


def test_every_state_is_reachable_and_every_target_exists(definition: dict[str, Any]) -> None:
    def targets(state: dict[str, Any]) -> set[str]:
        nexts = {state.get("Next"), state.get("Default")}
        nexts |= {choice["Next"] for choice in state.get("Choices", [])}
        nexts |= {catch["Next"] for catch in state.get("Catch", [])}
        return {name for name in nexts if name}

    states = definition["States"]
    reached, waiting = set(), {definition["StartAt"]}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= targets(states[name]) - reached
    assert reached == set(states)
