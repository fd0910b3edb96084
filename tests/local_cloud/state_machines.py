"""Runs the state machine files themselves on the embedded cloud, with one function that does what a script says.

A script is a list of acts for each stage, one act a call: wait for another stage, take long, raise an error, exit, answer
something else or too much. When a stage's list is used up it answers as when all goes well. The pauses before retries are
taken out of the machine's text; nothing else of it is changed but what a test asks for.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud import clients
from tests.local_cloud.conftest import ROLE, Functions, eventually
from tests.workflows.answers import answers

ROOT = Path(__file__).resolve().parents[2]
STAGES = tuple(answers())
Script = dict[str, list[dict[str, Any] | None]]
Change = Callable[[dict[str, Any]], None]

_FUNCTION = """
import json, os, re, time
from pathlib import Path

def seen(trace):
    # The last line may be one that another environment is writing.
    return [json.loads(line)["stage"] for line in trace.read_text().rpartition("\\n")[0].splitlines()]

def handler(event, context):
    stage = context.invoked_function_arn.rpartition(":")[2]
    # What a test calls itself travels as the project, or in the key of the file that landed.
    name = re.search(r"test-[0-9a-f]+", json.dumps(event))[0]
    script = json.loads((Path(os.environ["SCRIPTS"]) / f"{name}.json").read_text())
    trace = Path(os.environ["SCRIPTS"]) / f"{name}.jsonl"
    index = event.get("candidate", {}).get("index") if stage == "Tuning" else None
    mine = stage if index is None else f"{stage}:{index}"
    with trace.open("a") as file:
        file.write(json.dumps({"stage": mine, "event": event}) + "\\n")
    calls = seen(trace).count(mine)
    acts = script["acts"].get(mine, [])
    act = (acts[calls - 1] if calls <= len(acts) else None) or {}
    while "after" in act and act["after"] not in seen(trace):
        time.sleep(0.02)
    time.sleep(act.get("sleep", 0))
    if "raise" in act:
        raise type(act["raise"], (Exception,), {})(f"{mine} said {act['raise']}")
    if "exit" in act:
        os._exit(act["exit"])
    if "size" in act:
        return "x" * act["size"]
    return {**answers(script["candidates"])[stage](event), **act.get("answer", {})}
"""


@dataclass(frozen=True)
class Outcome:
    """How an execution ended, which states it entered, who was called with what, and what people were told."""

    status: str
    error: str | None
    cause: str | None
    states: list[str]
    calls: list[tuple[str, dict[str, Any]]]
    messages: list[dict[str, Any]]
    failed_tasks: list[str]

    def called(self) -> list[str]:
        """Stages in the order they were called."""
        return [stage for stage, _ in self.calls]


class Started:
    """An execution under way."""

    def __init__(self, machines: Machines, arn: str, name: str, inbox: str) -> None:
        self._machines, self.arn, self._name, self._inbox = machines, arn, name, inbox

    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        lines = [json.loads(line) for line in self._trace.read_text().splitlines()] if self._trace.exists() else []
        return [(line["stage"], line["event"]) for line in lines if line["event"] is not None]

    def note(self, what: str) -> None:
        """Let an act that waits for this go on, as it would once a stage of that name was called."""
        with self._trace.open("a") as trace:
            trace.write(json.dumps({"stage": what, "event": None}) + "\n")

    def failed_tasks(self) -> list[str]:
        """The errors of the tasks that failed so far, in their order."""
        return [event["taskFailedEventDetails"]["error"] for event in self._history() if "taskFailedEventDetails" in event]

    def _history(self) -> list[dict[str, Any]]:
        answer = self._machines.steps.get_execution_history(executionArn=self.arn, maxResults=1000)
        return list(answer["events"])

    @property
    def _trace(self) -> Path:
        return self._machines.scripts / f"{self._name}.jsonl"

    def outcome(self) -> Outcome:
        """Wait for the end."""
        steps, sqs = self._machines.steps, self._machines.sqs

        def ended() -> dict[str, Any] | None:
            described: dict[str, Any] = steps.describe_execution(executionArn=self.arn)
            return None if described["status"] == "RUNNING" else described

        end = eventually(ended, deadline=300)
        assert end is not None
        states = [event["stateEnteredEventDetails"]["name"] for event in self._history() if "stateEnteredEventDetails" in event]
        received = sqs.receive_message(QueueUrl=self._inbox, MaxNumberOfMessages=10).get("Messages", [])
        messages = [json.loads(message["Body"]) for message in received]
        return Outcome(end["status"], end.get("error"), end.get("cause"), states, self.calls(), messages, self.failed_tasks())


class Machines:
    """Creates machines from their files, over one function with an alias for each stage."""

    def __init__(self, functions: Functions, endpoint: str, scripts: Path) -> None:
        session = clients.session(endpoint)
        self.steps, self.sns, self.sqs = session.client("stepfunctions"), session.client("sns"), session.client("sqs")
        self.scripts = scripts
        self.functions = functions
        code = (ROOT / "tests/workflows/answers.py").read_text() + _FUNCTION
        self.function = functions.create(code, Timeout=60, Environment={"Variables": {"SCRIPTS": str(scripts)}})
        version = functions.client.publish_version(FunctionName=self.function)["Version"]
        self.arns: dict[str, str] = {}
        for stage in STAGES:
            alias = functions.client.create_alias(FunctionName=self.function, Name=stage, FunctionVersion=version)
            self.arns[stage] = alias["AliasArn"]

    def start(
        self,
        machine: str,
        acts: Script | None = None,
        *,
        candidates: int = 1,
        change: Change | None = None,
        topic: bool = True,
        arns: dict[str, str] | None = None,
    ) -> Started:
        """Create the machine and start it; ``change`` edits its definition, ``topic=False`` takes the topic away."""
        name = f"test-{uuid.uuid4().hex}"
        (self.scripts / f"{name}.json").write_text(json.dumps({"acts": acts or {}, "candidates": candidates}))
        inbox = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        queue = self.sqs.get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        notifications = self.sns.create_topic(Name=name)["TopicArn"]
        self.sns.subscribe(TopicArn=notifications, Protocol="sqs", Endpoint=queue)
        if not topic:
            self.sns.delete_topic(TopicArn=notifications)
        targets = {**self.arns, **(arns or {}), "Notifications": notifications}
        text = (ROOT / f"step_functions/{machine}.asl.json").read_text()
        definition = json.loads(re.sub(r"\$\{(\w+)\}", lambda found: targets[found[1]], text))
        for state in every_state(definition["States"]):
            for retrier in state.get("Retry", []):
                retrier["IntervalSeconds"] = 0
        if change is not None:
            change(definition)
        created = self.steps.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE)
        landed = {"bucket": {"name": "landing"}, "object": {"key": f"{name}/flights/a.csv", "version-id": "v1"}}
        given = {"detail": landed, "project": name, "reason": "manual", "window_end": "2013-06-01T00:00:00Z"}
        execution = self.steps.start_execution(stateMachineArn=created["stateMachineArn"], name="run-1", input=json.dumps(given))
        return Started(self, execution["executionArn"], name, inbox)

    def run(self, machine: str, acts: Script | None = None, **settings: Any) -> Outcome:
        """Start it and wait for the end."""
        return self.start(machine, acts, **settings).outcome()


def every_state(states: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for state in states.values():
        yield state
        if state["Type"] == "Map":
            yield from every_state(state["ItemProcessor"]["States"])
