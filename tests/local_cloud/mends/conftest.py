"""Fixtures of the mends' tests: clients of the shared cloud, functions that record events, and queues."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local_cloud import lifecycle
from tests.local_cloud.conftest import ROLE, eventually

REPOSITORY = Path(__file__).resolve().parents[3]


_WITH_A_HOOK = """
from local_cloud import mends, server
apply_all = mends.apply_all
def apply_all_and_hook():
    apply_all()
    exec({first!r}, globals())
mends.apply_all = apply_all_and_hook
server.main()
"""


class Emulator:
    """One embedded cloud in its own process, which a test may kill and restart with the same state."""

    def __init__(self, state: Path) -> None:
        self.state = state
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, first: str = "") -> None:
        """Start it; a program text is executed in its process after the mends are applied."""
        log = (self.state / "server.log").open("ab")
        program = ["-c", _WITH_A_HOOK.format(first=first)] if first else ["-m", "local_cloud.server"]
        command = [sys.executable, *program, str(self.state / "s"), str(self.port)]
        self._process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log, start_new_session=True)
        log.close()
        eventually(self._listens)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.state / "server.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)  # to one that has ended already: nothing
        try:
            self._process.wait(timeout=20)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    def client(self, name: str) -> Any:
        return connect(self.url, name)


def connect(url: str, name: str) -> Any:
    """Open a client that fails at once instead of retrying."""
    return boto3.client(
        name,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="session")
def client(cloud: lifecycle.Cloud) -> Callable[[str], Any]:
    """Clients by service name, one of each."""
    made: dict[str, Any] = {}

    def get(name: str) -> Any:
        if name not in made:
            made[name] = connect(cloud.endpoint, name)
        return made[name]

    return get


#: Appends each event to a file, then prints and fails as the event or the environment says.
RECORDER = """
import json, os, time
def handler(event, context):
    with open(os.environ["TRACE"], "a") as trace:
        trace.write(json.dumps({"event": event, "at": time.time(), "arn": context.invoked_function_arn,
                                "version": context.function_version}) + "\\n")
    if isinstance(event, dict):
        for line in event.get("print", []):
            print(line if isinstance(line, str) else json.dumps(line))
    calls = sum(1 for _ in open(os.environ["TRACE"]))
    if calls <= int(os.environ["FAIL_FIRST"]) or (isinstance(event, dict) and event.get("fail")):
        raise ValueError("told to fail")
    return {"seen": True}
"""


class Recorder:
    """A deployed function that appends every event it gets to a file, and fails on the first so many of them."""

    def __init__(self, lambda_client: Any, folder: Path, source: str = RECORDER, fail_first: int = 0, **settings: Any) -> None:
        self.name = f"recorder-{uuid.uuid4().hex[:8]}"
        self.trace = folder / f"{self.name}.jsonl"
        self._client = lambda_client
        self.arn = f"arn:aws:lambda:us-east-1:000000000000:function:{self.name}"
        self.log_group = f"/aws/lambda/{self.name}"
        self._request: dict[str, Any] = {
            "FunctionName": self.name,
            "Runtime": "python3.11",
            "Handler": "index.handler",
            "Role": ROLE,
            "Code": {"ZipFile": zipped(source)},
            "Timeout": 10,
            "Environment": {"Variables": {"TRACE": str(self.trace), "FAIL_FIRST": str(fail_first)}},
            **settings,
        }
        lambda_client.create_function(**self._request)

    def ensure_deployed(self) -> None:
        """Deploy the function again if it was not on disk, as `up` does after a kill."""
        names = [function["FunctionName"] for function in self._client.list_functions()["Functions"]]
        if self.name not in names:
            self._client.create_function(**self._request)

    def records(self) -> list[dict[str, Any]]:
        text = self.trace.read_text() if self.trace.exists() else ""
        # What follows the last newline is being written.
        return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]

    def events(self) -> list[Any]:
        return [record["event"] for record in self.records()]

    def invoke(self, event: Any, **settings: Any) -> Any:
        return self._client.invoke(FunctionName=self.name, Payload=json.dumps(event).encode(), **settings)


def zipped(source: str) -> bytes:
    """Return a package whose ``index.py`` holds the source."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        package.writestr("index.py", source)
    return buffer.getvalue()


@pytest.fixture
def recorder(client: Callable[[str], Any], tmp_path: Path) -> Callable[..., Recorder]:
    """Deploys recording functions."""

    def deploy(**settings: Any) -> Recorder:
        return Recorder(client("lambda"), tmp_path, **settings)

    return deploy


class Queue:
    """An SQS queue that remembers what was received from it."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs
        self.url = sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]
        self.arn: str = attributes["QueueArn"]
        self.messages: list[dict[str, Any]] = []

    def receive(self) -> list[dict[str, Any]]:
        answer = self._sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        self.messages += answer.get("Messages", [])
        return self.messages


@pytest.fixture
def queue(client: Callable[[str], Any]) -> Callable[[], Queue]:
    """Creates queues."""
    return lambda: Queue(client("sqs"))


class RestApi:
    """A REST API that sends every path and method to one function, deployed as the stage ``test``."""

    def __init__(self, gateway: Any, endpoint: str, function_arn: str) -> None:
        self._gateway = gateway
        self.function = function_arn
        self.identifier: str = gateway.create_rest_api(name=f"api-{uuid.uuid4().hex[:8]}")["id"]
        self.url = f"{endpoint}/_aws/execute-api/{self.identifier}/test"
        root = gateway.get_resources(restApiId=self.identifier)["items"][0]["id"]
        resource = gateway.create_resource(restApiId=self.identifier, parentId=root, pathPart="{proxy+}")["id"]
        where = {"restApiId": self.identifier, "resourceId": resource, "httpMethod": "ANY"}
        gateway.put_method(**where, authorizationType="NONE")
        uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function_arn}/invocations"
        gateway.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
        self.deploy()

    def deploy(self) -> None:
        """Deploy the API's current resources to the stage."""
        self._gateway.create_deployment(restApiId=self.identifier, stageName="test")
