"""kill -9 while four clients write: the next start restores every acknowledged write."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.local_cloud.conftest import ROLE, eventually
from tests.local_cloud.mends.conftest import Emulator

ROUNDS = 3
AT_LEAST = 5  # acknowledged writes of each kind before a kill
PASS = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}})
KEYS = ("a", "b", "c")


class Writers:
    """Four kinds of writes, each in a thread of its own, and what was acknowledged of them over all lives of the cloud."""

    def __init__(self, cloud: Emulator) -> None:
        self.cloud = cloud
        self.objects: dict[str, tuple[str, bytes]] = {}  # key and body by version id
        self.last: dict[str, str] = {}  # version id by key
        self.items: list[str] = []
        self.count = 0
        self.messages: list[str] = []
        self.executions: list[str] = []
        self.wrong: list[ClientError] = []
        self._round = 0
        self._clients: dict[str, Any] = {}

    def start(self) -> None:
        """Start the cloud and new clients, without connections to the killed server."""
        self.cloud.start()
        self._clients = {name: self.cloud.client(name) for name in ("s3", "dynamodb", "sqs", "stepfunctions")}

    def prepare(self) -> None:
        self._client("s3").create_bucket(Bucket="written")
        self._client("s3").put_bucket_versioning(Bucket="written", VersioningConfiguration={"Status": "Enabled"})
        keys = [{"AttributeName": "pk", "KeyType": "HASH"}]
        types = [{"AttributeName": "pk", "AttributeType": "S"}]
        self._client("dynamodb").create_table(
            TableName="written", KeySchema=keys, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST"
        )
        self._client("dynamodb").put_item(TableName="written", Item={"pk": {"S": "count"}, "n": {"N": "0"}})
        self.queue = self._client("sqs").create_queue(QueueName="written")["QueueUrl"]
        made = self._client("stepfunctions").create_state_machine(name="written", definition=PASS, roleArn=ROLE)
        self.machine = made["stateMachineArn"]

    def write_until_killed(self, after: float) -> None:
        """Write until each kind was acknowledged a few times and so many seconds more, then kill the cloud."""
        self._round += 1
        targets = (self._put_object, self._put_items, self._send, self._start)
        written = [0] * len(targets)

        def repeat(index: int, write: Callable[[str], None]) -> None:
            try:
                while True:
                    write(f"{self._round}-{written[index]}")
                    written[index] += 1
            except BotoCoreError:
                return  # the cloud is gone
            except ClientError as error:
                self.wrong.append(error)

        threads = [threading.Thread(target=repeat, args=each) for each in enumerate(targets)]
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: min(written) >= AT_LEAST or self.wrong)
            time.sleep(after)
        finally:
            self.cloud.kill()
            for thread in threads:
                thread.join()
        assert self.wrong == []

    def _put_object(self, name: str) -> None:
        key = KEYS[len(self.objects) % len(KEYS)]
        body = name.encode() * 1000
        version = self._client("s3").put_object(Bucket="written", Key=key, Body=body)["VersionId"]
        self.objects[version] = (key, body)
        self.last[key] = version

    def _put_items(self, name: str) -> None:
        dynamodb = self._client("dynamodb")
        dynamodb.put_item(TableName="written", Item={"pk": {"S": name}}, ConditionExpression="attribute_not_exists(pk)")
        self.items.append(name)
        values = {":old": {"N": str(self.count)}, ":new": {"N": str(self.count + 1)}}
        dynamodb.update_item(
            TableName="written",
            Key={"pk": {"S": "count"}},
            UpdateExpression="SET n = :new",
            ConditionExpression="n = :old",
            ExpressionAttributeValues=values,
        )
        self.count += 1

    def _send(self, name: str) -> None:
        self._client("sqs").send_message(QueueUrl=self.queue, MessageBody=name)
        self.messages.append(name)

    def _start(self, name: str) -> None:
        self._client("stepfunctions").start_execution(stateMachineArn=self.machine, name=name, input="{}")
        self.executions.append(name)

    def check(self) -> None:
        """Everything that was acknowledged is there; of what was under way, all or nothing."""
        s3 = self._client("s3")
        listed = self._all("s3", "list_object_versions", "Versions", Bucket="written")
        order = {key: [each["VersionId"] for each in listed if each["Key"] == key] for key in KEYS}
        for version, (key, body) in self.objects.items():
            assert s3.get_object(Bucket="written", Key=key, VersionId=version)["Body"].read() == body
        for key, version in self.last.items():
            assert version in order[key][:2]  # the latest, but for the one that was under way
        found = self._all("dynamodb", "scan", "Items", TableName="written")
        numbers = {item["pk"]["S"]: item.get("n", {}).get("N") for item in found}
        assert set(self.items) <= set(numbers)
        assert int(numbers["count"]) - self.count in (0, 1)
        self.count = int(numbers["count"])
        runs = self._all("stepfunctions", "list_executions", "executions", stateMachineArn=self.machine)
        assert set(self.executions) <= {run["name"] for run in runs}

    def check_messages(self) -> None:
        """Every message is received, if more than once."""
        received: set[str] = set()
        while messages := self._client("sqs").receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            received.update(message["Body"] for message in messages)
        assert set(self.messages) <= received

    def _all(self, service: str, operation: str, member: str, **parameters: Any) -> list[dict[str, Any]]:
        pages = self._client(service).get_paginator(operation).paginate(**parameters)
        return [each for page in pages for each in page[member]]

    def _client(self, service: str) -> Any:
        return self._clients[service]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path)
    yield emulator
    emulator.kill()


def test_acknowledged_writes_survive_kills_during_writes(cloud: Emulator) -> None:
    writers = Writers(cloud)
    writers.start()
    writers.prepare()
    moments = random.Random(1)
    for _ in range(ROUNDS):
        writers.write_until_killed(after=moments.uniform(0, 0.5))
        writers.start()
        writers.check()
    writers.check_messages()
