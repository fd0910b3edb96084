"""Run the state machine files on the embedded cloud, with one function that follows a script.

A script is a list of acts for each step, one act per call: wait for another step, take long, raise an error, exit, or
return another or a too large response. When a step's list is used up, the function returns the response of a successful
run. The delays before retries are removed from the machine's definition; a test may make further changes.
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
from tests.workflows.results import results

ROOT = Path(__file__).resolve().parents[2]
STEPS = tuple(results())
Script = dict[str, list[dict[str, Any] | None]]
Change = Callable[[dict[str, Any]], None]

_FUNCTION = """
import json, os, re, time
from pathlib import Path

def seen(trace):
    # Another environment may be writing the last line.
    return [json.loads(line)["step"] for line in trace.read_text().rpartition("\\n")[0].splitlines()]

def handler(event, context):
    step = context.invoked_function_arn.rpartition(":")[2]
    # The test's name is the project, or part of the key of the uploaded file.
    name = re.search(r"test-[0-9a-f]+", json.dumps(event))[0]
    script = json.loads((Path(os.environ["SCRIPTS"]) / f"{name}.json").read_text())
    trace = Path(os.environ["SCRIPTS"]) / f"{name}.jsonl"
    index = event.get("candidate", {}).get("index") if step == "Tuning" else None
    mine = step if index is None else f"{step}:{index}"
    with trace.open("a") as file:
        file.write(json.dumps({"step": mine, "event": event}) + "\\n")
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
    return {**results(script["candidates"])[step](event), **act.get("answer", {})}
"""


@dataclass(frozen=True)
class Outcome:
    """Result of an execution: status, entered states, calls with their events, and published notifications."""

    status: str
    error: str | None
    cause: str | None
    states: list[str]
    calls: list[tuple[str, dict[str, Any]]]
    messages: list[dict[str, Any]]
    failed_tasks: list[str]

    def called(self) -> list[str]:
        """Return the steps in the order of their calls."""
        return [step for step, _ in self.calls]


class Started:
    """A running execution."""

    def __init__(self, machines: Machines, arn: str, name: str, inbox: str) -> None:
        self._machines, self.arn, self._name, self._inbox = machines, arn, name, inbox

    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        lines = [json.loads(line) for line in self._trace.read_text().splitlines()] if self._trace.exists() else []
        return [(line["step"], line["event"]) for line in lines if line["event"] is not None]

    def note(self, what: str) -> None:
        """End the wait of an act that waits for this step, as a call of the step would."""
        with self._trace.open("a") as trace:
            trace.write(json.dumps({"step": what, "event": None}) + "\n")

    def failed_tasks(self) -> list[str]:
        """Return the errors of the failed tasks so far, in order."""
        return [event["taskFailedEventDetails"]["error"] for event in self._history() if "taskFailedEventDetails" in event]

    def _history(self) -> list[dict[str, Any]]:
        answer = self._machines.stepfunctions.get_execution_history(executionArn=self.arn, maxResults=1000)
        return list(answer["events"])

    @property
    def _trace(self) -> Path:
        return self._machines.scripts / f"{self._name}.jsonl"

    def outcome(self) -> Outcome:
        """Wait for the end of the execution."""
        stepfunctions, sqs = self._machines.stepfunctions, self._machines.sqs

        def ended() -> dict[str, Any] | None:
            described: dict[str, Any] = stepfunctions.describe_execution(executionArn=self.arn)
            return None if described["status"] == "RUNNING" else described

        end = eventually(ended, deadline=300)
        assert end is not None
        states = [event["stateEnteredEventDetails"]["name"] for event in self._history() if "stateEnteredEventDetails" in event]
        received = sqs.receive_message(QueueUrl=self._inbox, MaxNumberOfMessages=10).get("Messages", [])
        messages = [json.loads(message["Body"]) for message in received]
        return Outcome(end["status"], end.get("error"), end.get("cause"), states, self.calls(), messages, self.failed_tasks())


class Machines:
    """Create state machines from their files, with one function that has an alias for each step."""

    def __init__(self, functions: Functions, endpoint: str, scripts: Path) -> None:
        session = clients.session(endpoint)
        self.stepfunctions, self.sns, self.sqs = session.client("stepfunctions"), session.client("sns"), session.client("sqs")
        self.scripts = scripts
        self.functions = functions
        code = (ROOT / "tests/workflows/results.py").read_text() + _FUNCTION
        self.function = functions.create(code, Timeout=60, Environment={"Variables": {"SCRIPTS": str(scripts)}})
        version = functions.client.publish_version(FunctionName=self.function)["Version"]
        self.arns: dict[str, str] = {}
        for step in STEPS:
            alias = functions.client.create_alias(FunctionName=self.function, Name=step, FunctionVersion=version)
            self.arns[step] = alias["AliasArn"]

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
        """Create the machine and start it; ``change`` edits its definition, ``topic=False`` deletes the topic."""
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
        created = self.stepfunctions.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE)
        landed = {"bucket": {"name": "landing"}, "object": {"key": f"{name}/flights/a.csv", "version-id": "v1"}}
        given = {"detail": landed, "project": name, "reason": "manual", "window_end": "2013-06-01T00:00:00Z"}
        execution = self.stepfunctions.start_execution(
            stateMachineArn=created["stateMachineArn"], name="run-1", input=json.dumps(given)
        )
        return Started(self, execution["executionArn"], name, inbox)

    def run(self, machine: str, acts: Script | None = None, **settings: Any) -> Outcome:
        """Start it and wait for its end."""
        return self.start(machine, acts, **settings).outcome()


def every_state(states: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for state in states.values():
        yield state
        if state["Type"] == "Map":
            yield from every_state(state["ItemProcessor"]["States"])
