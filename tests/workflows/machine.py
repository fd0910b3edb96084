"""Runs a state machine file on moto's interpreter with scripted functions.

A script says what each step returns or which errors it raises, call by call, and records the calls with their events. Waits
and retry intervals take no time. A lost SNS message is scripted like any other error.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from antlr4 import ParserRuleContext
from moto import mock_aws
from moto.stepfunctions.parser.asl.antlr.runtime.ASLParser import ASLParser
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.wait.wait_function import wait_function
from moto.stepfunctions.parser.asl.parse import asl_parser
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication

FOLDER = Path(__file__).resolve().parents[2] / "step_functions"
REGION = "us-east-1"
_DEADLINE = 120.0  # seconds


Function = Callable[[dict[str, Any]], Any]


@dataclass
class Script:
    """What the functions do, by placeholder: a result for each call, or scripted failures before it."""

    results: dict[str, Function]
    failures: dict[str, list[str]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def invoke(self, parameters: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Stand in for Lambda's Invoke."""
        name = parameters["FunctionName"].rsplit(":", 2)[-2]
        event = json.loads(parameters["Payload"])
        self.calls.append((name, event))
        waiting = self.failures.get(name)
        if waiting:
            error = waiting.pop(0)
            payload = {"errorType": error, "errorMessage": f"{name} said {error}"}
            return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": payload}
        return {"StatusCode": 200, "Payload": self.results[name](event)}

    def called(self) -> list[str]:
        """Names of the functions in the order they were called."""
        return [name for name, _ in self.calls]


@dataclass(frozen=True)
class Outcome:
    """How an execution ended, what it said on the topic, and which states it entered."""

    status: str
    error: str | None
    cause: str | None
    output: dict[str, Any]
    messages: list[dict[str, Any]]
    states: list[str]


@cache
def client(service: str) -> Any:
    """A client shared by all executions: making one costs more than running a machine."""
    return boto3.Session("test", "test", region_name=REGION).client(service)


@contextmanager
def without_waiting(script: Script) -> Iterator[threading.Event]:
    """Route invocations to the script and make every pause end at once; the event says that the execution is over.

    An execution shows its status before its output, error and cause, so the status alone says too little.
    """
    over = threading.Event()
    reflect = BaseExecutionWorkerCommunication.terminated

    def terminated(execution: BaseExecutionWorkerCommunication) -> None:
        reflect(execution)
        over.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseExecutionWorkerCommunication, "terminated", terminated)
        patch.setattr(lambda_eval_utils, "_invoke_lambda_function", script.invoke)
        patch.setattr(retrier_decl, "time", _NoSleep)
        patch.setattr(asl_parser, "ASLParser", _ParsesOnce)
        patch.setattr(wait_function.WaitFunction, "_wait_interval", lambda self, env, wait_seconds: None)
        yield over


_TREES: dict[str, ParserRuleContext] = {}
"""Syntax trees by definition; they are only read."""


class _ParsesOnce(ASLParser):
    """Moto parses a definition when it is created and at each execution, which takes most of a test's time."""

    def state_machine(self) -> ParserRuleContext:
        text = self.getInputStream().tokenSource.inputStream.strdata
        if text in _TREES:
            return _TREES[text]
        tree = super().state_machine()
        if self.getNumberOfSyntaxErrors() == 0:
            _TREES[text] = tree
        return tree


class _NoSleep:
    @staticmethod
    def sleep(seconds: float) -> None:
        """A retry's interval, skipped."""


def definition_of(name: str) -> dict[str, Any]:
    """A machine's file as it is."""
    result: dict[str, Any] = json.loads((FOLDER / f"{name}.asl.json").read_text())
    return result


def run(machine: str, script: Script, given: dict[str, Any], *, topic: bool = True) -> Outcome:
    """Execute a machine to its end; ``topic=False`` takes the notifications topic away."""
    text = (FOLDER / f"{machine}.asl.json").read_text()
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}), without_waiting(script) as over:
        sns, sqs = client("sns"), client("sqs")
        arn = sns.create_topic(Name="notifications")["TopicArn"]
        queue = sqs.create_queue(QueueName="reader")["QueueUrl"]
        queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)
        named = text.replace("${Notifications}", arn if topic else f"{arn}-that-is-gone")
        definition = re.sub(r"\$\{(\w+)\}", rf"arn:aws:lambda:{REGION}:123456789012:function:\1:live", named)
        machines = client("stepfunctions")
        created = machines.create_state_machine(
            name=machine, definition=definition, roleArn="arn:aws:iam::123456789012:role/machine"
        )
        execution = machines.start_execution(stateMachineArn=created["stateMachineArn"], name="run-1", input=json.dumps(given))[
            "executionArn"
        ]
        if not over.wait(_DEADLINE):
            raise TimeoutError(f"{execution} did not end")
        ended = machines.describe_execution(executionArn=execution)
        history = machines.get_execution_history(executionArn=execution, maxResults=1000)["events"]
        states = [e["stateEnteredEventDetails"]["name"] for e in history if "stateEnteredEventDetails" in e]
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return Outcome(
            status=ended["status"],
            error=ended.get("error"),
            cause=ended.get("cause"),
            output=json.loads(ended.get("output") or "{}"),
            messages=[json.loads(message["Body"]) for message in received],
            states=states,
        )
