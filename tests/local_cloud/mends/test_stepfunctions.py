"""State machines behave as in AWS where the platform depends on it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.mends.state_tasks import delay_before_retry
from tests.local_cloud.conftest import ROLE, eventually
from tests.local_cloud.mends.conftest import Queue, Recorder

Clients = Callable[[str], Any]

#: Raises the event's error as often as the event says; otherwise returns the event or a response of some size.
FUNCTION = """
import json, os, time
class Retryable(Exception): pass
class Terminal(Exception): pass
def handler(event, context):
    with open(os.environ["TRACE"], "a") as trace:
        trace.write(json.dumps({"event": event, "at": time.time()}) + "\\n")
    calls = sum(1 for _ in open(os.environ["TRACE"]))
    if calls <= event.get("times", 0):
        raise {"Retryable": Retryable, "Terminal": Terminal}[event["raise"]]("told to")
    time.sleep(event.get("sleep", 0))
    return "x" * event["size"] if "size" in event else {"got": event}
"""


class Machines:
    """Creates state machines and runs them to their end."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def create(self, states: dict[str, Any], **top: Any) -> str:
        definition = {"StartAt": next(iter(states)), "States": states, **top}
        answer = self.client.create_state_machine(
            name=f"machine-{uuid.uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=ROLE
        )
        return str(answer["stateMachineArn"])

    def start(self, machine: str, data: Any, **settings: Any) -> str:
        answer = self.client.start_execution(stateMachineArn=machine, input=json.dumps(data), **settings)
        return str(answer["executionArn"])

    def finish(self, execution: str) -> dict[str, Any]:
        def ended() -> Any:
            answer = self.client.describe_execution(executionArn=execution)
            return None if answer["status"] == "RUNNING" else answer

        return dict(eventually(ended))

    def run(self, states: dict[str, Any], data: Any, **top: Any) -> dict[str, Any]:
        return self.finish(self.start(self.create(states, **top), data))


@pytest.fixture
def machines(client: Clients) -> Machines:
    return Machines(client("stepfunctions"))


@pytest.fixture
def function(recorder: Callable[..., Recorder]) -> Recorder:
    return recorder(source=FUNCTION)


def task(resource: str, **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": resource, "End": True, **fields}


def test_a_task_is_retried_by_error_name_and_returns_the_response(machines: Machines, function: Recorder) -> None:
    """Step Functions documentation: "Handling errors"; both ways to name a function."""
    retry = [{"ErrorEquals": ["Retryable"], "IntervalSeconds": 1, "MaxDelaySeconds": 1, "JitterStrategy": "FULL"}]
    result = machines.run({"A": task(function.arn, Retry=retry)}, {"raise": "Retryable", "times": 2})
    assert result["status"] == "SUCCEEDED"
    assert json.loads(result["output"]) == {"got": {"raise": "Retryable", "times": 2}}
    assert len(function.events()) == 3

    invoke = {"FunctionName": function.arn, "Payload": {"n.$": "$.n"}}
    result = machines.run({"A": task("arn:aws:states:::lambda:invoke", Parameters=invoke, OutputPath="$.Payload")}, {"n": 7})
    assert json.loads(result["output"]) == {"got": {"n": 7}}


def test_another_error_is_not_retried_and_reaches_its_catcher(machines: Machines, function: Recorder) -> None:
    """The cause is the function's error document; Fail takes name and cause by path."""
    states = {
        "A": task(
            function.arn,
            Retry=[{"ErrorEquals": ["Retryable"]}],
            Catch=[
                {"ErrorEquals": ["Retryable"], "Next": "Wrong"},
                {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Failed"},
            ],
        ),
        "Wrong": {"Type": "Succeed"},
        "Failed": {"Type": "Fail", "ErrorPath": "$.error.Error", "CausePath": "$.error.Cause"},
    }
    result = machines.run(states, {"raise": "Terminal", "times": 1})
    assert (result["status"], result["error"]) == ("FAILED", "Terminal")
    assert json.loads(result["cause"])["errorMessage"] == "told to"
    assert result.get("output") is None
    assert len(function.events()) == 1


def test_a_throttled_function_is_a_too_many_requests_exception(machines: Machines, function: Recorder, client: Clients) -> None:
    client("lambda").put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    assert machines.run({"A": task(function.arn)}, {})["error"] == "Lambda.TooManyRequestsException"


@pytest.mark.parametrize(
    ("states", "error"),
    [
        ({"A": {"Type": "Pass", "Parameters": {"x.$": "$.missing"}, "End": True}}, "States.ParameterPathFailure"),
        ({"A": {"Type": "Pass", "Parameters": {"x.$": "$$.Execution.Nope"}, "End": True}}, "States.ParameterPathFailure"),
        ({"A": {"Type": "Pass", "InputPath": "$.missing", "End": True}}, "States.Runtime"),
        ({"A": {"Type": "Pass", "OutputPath": "$.missing", "End": True}}, "States.Runtime"),
        ({"A": {"Type": "Wait", "SecondsPath": "$.missing", "End": True}}, "States.Runtime"),
        ({"A": {"Type": "Wait", "SecondsPath": "$.text", "End": True}}, "States.Runtime"),
        (
            {
                "A": {"Type": "Choice", "Choices": [{"Variable": "$.missing", "StringEquals": "x", "Next": "B"}], "Default": "B"},
                "B": {"Type": "Succeed"},
            },
            "States.Runtime",
        ),
        ({"A": {"Type": "Map", "ItemsPath": "$.missing", "ItemProcessor": {}, "End": True}}, "States.Runtime"),
        (
            {"A": {"Type": "Pass", "Parameters": {"x.$": "States.StringToJson($.text)"}, "End": True}},
            "States.IntrinsicFailure",
        ),
    ],
)
def test_a_missing_path_fails_the_execution(machines: Machines, states: dict[str, Any], error: str) -> None:
    """Step Functions documentation: "Handling errors", error names; never a silent null."""
    result = machines.run(states, {"text": "not json"})
    assert (result["status"], result["error"]) == ("FAILED", error)


def test_parameter_path_failures_can_be_caught_and_runtime_errors_cannot(machines: Machines, function: Recorder) -> None:
    """States.ALL does not catch States.Runtime."""
    catch = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]}
    caught = {"Caught": {"Type": "Succeed"}}
    parameters = task(function.arn, Parameters={"x.$": "$.missing"}, **catch)
    assert machines.run({"A": parameters, **caught}, {})["status"] == "SUCCEEDED"
    runtime = task(function.arn, InputPath="$.missing", **catch)
    assert machines.run({"A": runtime, **caught}, {})["error"] == "States.Runtime"
    assert function.events() == []


def test_is_present_is_true_for_null(machines: Machines) -> None:
    """Step Functions documentation: "Choice workflow state", IsPresent and IsNull."""
    states = {
        "A": {
            "Type": "Choice",
            "Choices": [
                {"And": [{"Variable": "$.x", "IsPresent": True}, {"Variable": "$.x", "IsNull": True}], "Next": "Null"},
                {"Variable": "$.x", "IsPresent": False, "Next": "Absent"},
            ],
            "Default": "Value",
        },
        **{name: {"Type": "Pass", "Result": name, "End": True} for name in ("Null", "Absent", "Value")},
    }
    machine = machines.create(states)
    outputs = [machines.finish(machines.start(machine, data))["output"] for data in ({"x": None}, {}, {"x": 1})]
    assert outputs == ['"Null"', '"Absent"', '"Value"']


def test_intrinsic_functions_write_json(machines: Machines) -> None:
    """Step Functions documentation: "Intrinsic functions for JSONPath states"."""
    template = {
        "text.$": "States.Format('{} {} {} {}', $.name, $.flag, $.none, $.object)",
        "json.$": "States.JsonToString($.object)",
        "back.$": "States.StringToJson($.raw)",
    }
    data = {"name": "n", "flag": True, "none": None, "object": {"a": [1]}, "raw": '{"b": 2}'}
    result = machines.run({"A": {"Type": "Pass", "Parameters": template, "End": True}}, data)
    assert json.loads(result["output"]) == {"text": 'n true null {"a":[1]}', "json": '{"a":[1]}', "back": {"b": 2}}


def test_map_selects_items_and_limits_concurrency(machines: Machines, function: Recorder) -> None:
    """Step Functions documentation: "Map workflow state", ItemSelector and MaxConcurrency."""
    states = {
        "Tune": {
            "Type": "Map",
            "ItemsPath": "$.candidates",
            "MaxConcurrency": 1,
            "ItemSelector": {"candidate.$": "$$.Map.Item.Value", "index.$": "$$.Map.Item.Index", "run.$": "$.run"},
            "ItemProcessor": {"StartAt": "One", "States": {"One": task(function.arn)}},
            "ResultPath": "$.results",
            "End": True,
        }
    }
    result = machines.run(states, {"candidates": ["a", "b"], "run": "r"})
    output = json.loads(result["output"])
    assert output["results"] == [{"got": {"candidate": c, "index": i, "run": "r"}} for i, c in enumerate("ab")]
    assert output["run"] == "r"


def test_the_error_of_an_item_is_the_error_of_the_map(machines: Machines, function: Recorder) -> None:
    one = {"StartAt": "One", "States": {"One": task(function.arn)}}
    result = machines.run({"M": {"Type": "Map", "ItemProcessor": one, "End": True}}, [{"raise": "Terminal", "times": 9}])
    assert result["error"] == "Terminal"


def test_wait_takes_its_seconds_from_the_input(machines: Machines) -> None:
    started = time.monotonic()
    result = machines.run({"W": {"Type": "Wait", "SecondsPath": "$.bake", "End": True}}, {"bake": 1})
    assert result["status"] == "SUCCEEDED"
    assert time.monotonic() - started >= 1.0


def test_a_task_that_takes_too_long_times_out(machines: Machines, function: Recorder) -> None:
    """States.TaskFailed does not match States.Timeout; States.ALL does."""
    catch = [
        {"ErrorEquals": ["States.TaskFailed"], "Next": "Wrong"},
        {"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "Right"},
    ]
    states = {
        "A": task(function.arn, TimeoutSeconds=1, Catch=catch),
        "Wrong": {"Type": "Fail"},
        "Right": {"Type": "Pass", "OutputPath": "$.e.Error", "End": True},
    }
    result = machines.run(states, {"sleep": 3})
    assert result["output"] == '"States.Timeout"'


def test_an_execution_that_takes_too_long_times_out(machines: Machines, function: Recorder) -> None:
    """Step Functions documentation: "State machine structure", TimeoutSeconds; no catcher sees it."""
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Wrong"}]
    states = {"A": task(function.arn, Catch=catch), "Wrong": {"Type": "Succeed"}}
    result = machines.run(states, {"sleep": 2}, TimeoutSeconds=1)
    assert result["status"] == "TIMED_OUT"
    history = machines.client.get_execution_history(executionArn=result["executionArn"])["events"]
    assert "ExecutionTimedOut" in [event["type"] for event in history]


def test_a_result_over_256_kb_is_rejected(machines: Machines, function: Recorder) -> None:
    """Step Functions service quotas: maximum input or output size of a task."""
    assert machines.run({"A": task(function.arn)}, {"size": 262_200})["error"] == "States.DataLimitExceeded"


def test_the_name_of_an_execution_is_unique(machines: Machines) -> None:
    """StartExecution: the same name and input return the running execution; otherwise ExecutionAlreadyExists."""
    machine = machines.create({"W": {"Type": "Wait", "Seconds": 30, "End": True}})
    first = machines.start(machine, {"n": 1}, name="run-1")
    assert machines.start(machine, {"n": 1}, name="run-1") == first
    with pytest.raises(machines.client.exceptions.ExecutionAlreadyExists):
        machines.start(machine, {"n": 2}, name="run-1")
    machines.client.stop_execution(executionArn=first, error="Stopped", cause="by hand")
    result = machines.finish(first)
    assert (result["status"], result["error"], result["cause"]) == ("ABORTED", "Stopped", "by hand")
    with pytest.raises(machines.client.exceptions.ExecutionAlreadyExists):
        machines.start(machine, {"n": 1}, name="run-1")
    with pytest.raises(machines.client.exceptions.InvalidExecutionInput):
        machines.client.start_execution(stateMachineArn=machine, input="{broken")


def test_a_stopped_execution_stays_aborted_and_does_not_retry(machines: Machines, function: Recorder) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 9, "BackoffRate": 1}]
    states = {"A": task(function.arn, Retry=retry, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "B"}]), "B": {"Type": "Fail"}}
    execution = machines.start(machines.create(states), {"raise": "Terminal", "times": 99})
    eventually(function.events)
    machines.client.stop_execution(executionArn=execution)
    calls = len(function.events())
    time.sleep(1.5)
    assert len(function.events()) <= calls + 1
    assert machines.finish(execution)["status"] == "ABORTED"


def test_a_notification_is_published_with_its_attributes(machines: Machines, client: Clients, queue: Callable[[], Queue]) -> None:
    """Step Functions documentation: "Publish messages to an Amazon SNS topic"; a message may be an object."""
    inbox = queue()
    topic = client("sns").create_topic(Name=f"topic-{uuid.uuid4().hex[:8]}")["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn)
    parameters = {
        "TopicArn": topic,
        "Subject": "Training failed",
        "Message": {"project.$": "$.project", "run_id.$": "$$.Execution.Name"},
        "MessageAttributes": {"kind": {"DataType": "String", "StringValue": "failure"}},
    }
    states = {"N": task("arn:aws:states:::sns:publish", Parameters=parameters, ResultPath="$.sent")}
    result = machines.run(states, {"project": "flights"})
    assert json.loads(result["output"])["sent"]["MessageId"]
    (message,) = eventually(inbox.receive)
    envelope = json.loads(message["Body"])
    assert envelope["Subject"] == "Training failed"
    assert json.loads(envelope["Message"])["project"] == "flights"
    assert envelope["MessageAttributes"]["kind"]["Value"] == "failure"
    gone = {**parameters, "TopicArn": f"{topic}-gone"}
    states = {"N": task("arn:aws:states:::sns:publish", Parameters=gone)}
    assert machines.run(states, {"project": "p"})["error"] == "SNS.NotFoundException"


def test_the_end_of_an_execution_is_published_as_an_event(
    machines: Machines, client: Clients, queue: Callable[[], Queue]
) -> None:
    """Step Functions documentation: "Automating event delivery with EventBridge"."""
    inbox = queue()
    machine = machines.create({"F": {"Type": "Fail", "Error": "Mine", "Cause": "why"}})
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [machine], "status": ["FAILED"]}}
    name = f"rule-{uuid.uuid4().hex[:8]}"
    client("events").put_rule(Name=name, EventPattern=json.dumps(pattern))
    client("events").put_targets(Rule=name, Targets=[{"Id": "q", "Arn": inbox.arn}])
    execution = machines.start(machine, {})
    (message,) = eventually(inbox.receive)
    event = json.loads(message["Body"])
    assert event["detail-type"] == "Step Functions Execution Status Change"
    assert (event["detail"]["executionArn"], event["detail"]["error"]) == (execution, "Mine")


def test_retry_delays_grow_up_to_a_maximum_with_jitter() -> None:
    """Step Functions documentation: IntervalSeconds, BackoffRate, MaxDelaySeconds, JitterStrategy."""
    retrier = {"IntervalSeconds": 3, "BackoffRate": 2, "MaxDelaySeconds": 10}
    assert [delay_before_retry(retrier, made) for made in range(4)] == [3, 6, 10, 10]
    jittered = {delay_before_retry({**retrier, "JitterStrategy": "FULL"}, 3) for _ in range(50)}
    assert len(jittered) > 1
    assert all(0 <= delay <= 10 for delay in jittered)
