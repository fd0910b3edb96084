"""Lambda aliases: weights, reserved concurrency, ARNs; and the metrics of invocations."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.local_cloud.conftest import ROLE, eventually
from tests.local_cloud.mends.conftest import Recorder

Clients = Callable[[str], Any]


def total(cloudwatch: Any, metric: str, namespace: str = "AWS/Lambda", **dimensions: str) -> float:
    """Sum a metric over the last hour."""
    now = time.time()
    answer = cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - 3600,
        EndTime=now + 60,
        Period=60,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in answer["Datapoints"]))


@pytest.fixture
def weighted(client: Clients, recorder: Callable[..., Recorder]) -> Recorder:
    """Return a function whose alias sends half of its invocations to each of two versions."""
    function = recorder()
    functions = client("lambda")
    first = functions.publish_version(FunctionName=function.name)["Version"]
    functions.update_function_configuration(FunctionName=function.name, Description="second")
    second = functions.publish_version(FunctionName=function.name)["Version"]
    assert (first, second) == ("1", "2")
    functions.create_alias(
        FunctionName=function.name,
        Name="live",
        FunctionVersion=first,
        RoutingConfig={"AdditionalVersionWeights": {second: 0.5}},
    )
    return function


def test_an_alias_distributes_invocations_by_its_weights(client: Clients, weighted: Recorder) -> None:
    """Lambda documentation: "Implement Lambda canary deployments using a weighted alias"."""
    for _ in range(20):
        weighted.invoke({}, Qualifier="live")
    assert {record["version"] for record in weighted.records()} == {"1", "2"}


def test_a_state_machine_invokes_both_versions_and_the_function_gets_the_alias_arn(client: Clients, weighted: Recorder) -> None:
    """Lambda documentation: "Using the Lambda context object", invoked_function_arn."""
    machines = client("stepfunctions")
    branch = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": f"{weighted.arn}:live", "End": True}}}
    definition = {"StartAt": "M", "States": {"M": {"Type": "Map", "MaxConcurrency": 2, "ItemProcessor": branch, "End": True}}}
    machine = machines.create_state_machine(name=weighted.name, definition=json.dumps(definition), roleArn=ROLE)
    machines.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps([{}] * 20))
    eventually(lambda: len(weighted.records()) == 20)
    assert {record["version"] for record in weighted.records()} == {"1", "2"}
    assert {record["arn"] for record in weighted.records()} == {f"{weighted.arn}:live"}


def test_reserved_concurrency_applies_to_aliases(client: Clients, weighted: Recorder) -> None:
    """Lambda documentation: "Configuring reserved concurrency for a function"."""
    client("lambda").put_function_concurrency(FunctionName=weighted.name, ReservedConcurrentExecutions=0)
    with pytest.raises(client("lambda").exceptions.TooManyRequestsException):
        weighted.invoke({}, Qualifier="live")
    assert total(client("cloudwatch"), "Throttles", FunctionName=weighted.name) == 1


def test_every_invocation_is_counted_once_under_function_and_alias(client: Clients, recorder: Callable[..., Recorder]) -> None:
    """Lambda documentation: "Types of metrics for Lambda functions"."""
    function = recorder()
    client("lambda").publish_version(FunctionName=function.name)
    client("lambda").create_alias(FunctionName=function.name, Name="live", FunctionVersion="1")
    client("lambda").put_function_event_invoke_config(FunctionName=function.name, Qualifier="live", MaximumRetryAttempts=1)
    function.invoke({}, Qualifier="live")
    function.invoke({"fail": True}, Qualifier="live", InvocationType="Event")
    cloudwatch = client("cloudwatch")
    alias = {"FunctionName": function.name, "Resource": f"{function.name}:live"}
    eventually(lambda: total(cloudwatch, "Errors", **alias) == 2)
    assert total(cloudwatch, "Invocations", **alias) == 3
    assert total(cloudwatch, "Invocations", FunctionName=function.name) == 3


def test_executions_are_counted_by_final_status(client: Clients) -> None:
    """Step Functions documentation: "Monitoring Step Functions metrics using CloudWatch"."""
    machines = client("stepfunctions")
    definition = json.dumps({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}})
    machine = machines.create_state_machine(name=f"counted-{time.time_ns()}", definition=definition, roleArn=ROLE)
    machines.start_execution(stateMachineArn=machine["stateMachineArn"])
    counted = {"namespace": "AWS/States", "StateMachineArn": machine["stateMachineArn"]}
    eventually(lambda: total(client("cloudwatch"), "ExecutionsFailed", **counted) == 1)
    assert total(client("cloudwatch"), "ExecutionsStarted", **counted) == 1
    assert total(client("cloudwatch"), "ExecutionsSucceeded", **counted) == 0


def test_visible_messages_of_a_queue_are_counted(client: Clients) -> None:
    """SQS documentation: "Available CloudWatch metrics for Amazon SQS"."""
    name = f"counted-{time.time_ns()}"
    url = client("sqs").create_queue(QueueName=name)["QueueUrl"]
    client("sqs").send_message(QueueUrl=url, MessageBody="m")
    counted = {"namespace": "AWS/SQS", "QueueName": name}
    eventually(lambda: total(client("cloudwatch"), "ApproximateNumberOfMessagesVisible", **counted) >= 1)
