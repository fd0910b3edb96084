"""After kill -9 of the server, every acknowledged change is restored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local_cloud import clients, lifecycle
from tests.local_cloud.conftest import ROLE, Functions, eventually, free_port, kill
from tests.local_cloud.mends.conftest import Emulator

TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"VersioningConfiguration": {"Status": "Enabled"}}},
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            },
        },
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}},
        "Where": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": "/kept/bucket", "Type": "String", "Value": {"Ref": "Bucket"}},
        },
    }
}


OFTEN = {"Delay": 0.1, "MaxAttempts": 1200}
WAIT = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 300, "End": True}}})
STARTED = [f"started-{number}" for number in range(5)]
View = Callable[["Survivor"], Any]


@dataclass
class Survivor:
    """A cloud that was killed twice, and its content from before."""

    state: Path
    cloud: lifecycle.Cloud
    before: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return clients.session(self.cloud.endpoint).client(service)

    def kill_and_start(self) -> None:
        assert self.cloud.pid is not None
        kill(self.cloud.pid)
        self.cloud = lifecycle.up(self.state, int(self.cloud.endpoint.rpartition(":")[2]))


@pytest.fixture(scope="module")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Survivor]:
    """Write everything, kill, start, and kill again: a log must not be replayed on a snapshot that contains its records.

    What must be on disk before its response is sent is written last, just before the first kill.
    """
    state = tmp_path_factory.mktemp("survivor")
    survivor = Survivor(state, lifecycle.up(state, free_port()))
    make_stack(survivor)
    make_function(survivor)
    make_execution(survivor)
    make_alarm(survivor)
    make_objects(survivor)
    make_items(survivor)
    views: tuple[View, ...] = (objects, items, stack_resources, alarm_history)
    survivor.before |= {view.__name__: view(survivor) for view in views}
    send_messages(survivor)
    start_executions(survivor)
    survivor.kill_and_start()
    survivor.kill_and_start()
    yield survivor
    lifecycle.down(state)


def make_objects(survivor: Survivor) -> None:
    s3 = survivor.client("s3")
    s3.create_bucket(Bucket="kept-objects")
    s3.put_bucket_versioning(Bucket="kept-objects", VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        body, metadata = b"version %d" % number, {"number": str(number)}
        s3.put_object(Bucket="kept-objects", Key="a/b.txt", Body=body, Metadata=metadata, ContentType="text/x")
    s3.put_object(Bucket="kept-objects", Key="gone", Body=b"x")
    s3.delete_object(Bucket="kept-objects", Key="gone")
    upload = s3.create_multipart_upload(Bucket="kept-objects", Key="large")["UploadId"]
    part = s3.upload_part(Bucket="kept-objects", Key="large", UploadId=upload, PartNumber=1, Body=b"p" * 1000)
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    s3.complete_multipart_upload(Bucket="kept-objects", Key="large", UploadId=upload, MultipartUpload=parts)


def objects(survivor: Survivor) -> list[Any]:
    s3 = survivor.client("s3")
    listed = s3.list_object_versions(Bucket="kept-objects")
    found: list[Any] = [listed["Versions"], listed["DeleteMarkers"]]
    known = {"kept-objects", stack_resources(survivor)["Bucket"]}
    found.append([bucket for bucket in s3.list_buckets()["Buckets"] if bucket["Name"] in known])
    for version in listed["Versions"]:
        got = s3.get_object(Bucket="kept-objects", Key=version["Key"], VersionId=version["VersionId"])
        found.append((got["Body"].read(), got["ETag"], got["LastModified"], got["Metadata"], got["ContentType"]))
    return found


def make_items(survivor: Survivor) -> None:
    dynamodb = survivor.client("dynamodb")
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    types = [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"}]
    dynamodb.create_table(TableName="kept", KeySchema=keys, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST")

    def key(number: int) -> dict[str, Any]:
        return {"pk": {"S": "p"}, "sk": {"N": str(number)}}

    for number in range(20):
        dynamodb.put_item(TableName="kept", Item={**key(number), "data": {"B": b"\x00\xff"}, "list": {"L": [{"BOOL": True}]}})
    one = {":one": {"N": "1"}}
    for _ in range(5):
        dynamodb.update_item(TableName="kept", Key=key(1), UpdateExpression="ADD hits :one", ExpressionAttributeValues=one)
    dynamodb.delete_item(TableName="kept", Key=key(2))
    dynamodb.batch_write_item(RequestItems={"kept": [{"PutRequest": {"Item": key(100)}}, {"DeleteRequest": {"Key": key(3)}}]})
    dynamodb.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": "kept", "Item": key(200), "ConditionExpression": "attribute_not_exists(pk)"}},
            {"Delete": {"TableName": "kept", "Key": key(4)}},
        ]
    )


def items(survivor: Survivor) -> list[Any]:
    dynamodb = survivor.client("dynamodb")
    table = dynamodb.describe_table(TableName="kept")["Table"]
    return [dynamodb.scan(TableName="kept")["Items"], table["TableId"], table["CreationDateTime"]]


def make_stack(survivor: Survivor) -> None:
    formation = survivor.client("cloudformation")
    formation.create_stack(StackName="kept", TemplateBody=json.dumps(TEMPLATE))
    formation.get_waiter("stack_create_complete").wait(StackName="kept", WaiterConfig=OFTEN)
    resources = stack_resources(survivor)
    survivor.client("s3").put_object(Bucket=resources["Bucket"], Key="k", Body=b"kept")
    survivor.client("dynamodb").put_item(TableName=resources["Table"], Item={"pk": {"S": "kept"}})
    signed = survivor.client("kms").sign(KeyId=resources["Key"], Message=b"m", SigningAlgorithm="ECDSA_SHA_256")
    survivor.before["signature"] = signed["Signature"]
    saved(survivor, "cloudformation", "CREATE_COMPLETE")


def stack_resources(survivor: Survivor) -> dict[str, str]:
    described = survivor.client("cloudformation").describe_stack_resources(StackName="kept")["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in described}


def make_execution(survivor: Survivor) -> None:
    machines = survivor.client("stepfunctions")
    machine = machines.create_state_machine(name="long", definition=WAIT, roleArn=ROLE)["stateMachineArn"]
    survivor.before["machine"] = machine
    machines.start_execution(stateMachineArn=machine, name="run-1", input='{"project": "p"}')
    saved(survivor, "stepfunctions", "WaitStateEntered")


def make_alarm(survivor: Survivor) -> None:
    cloudwatch = survivor.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="kept-alarm",
        Namespace="Kept",
        MetricName="harm",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.5,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    cloudwatch.put_metric_data(Namespace="Kept", MetricData=[{"MetricName": "harm", "Value": 1.0}])
    eventually(lambda: alarm_state(survivor) == "ALARM")
    saved(survivor, "cloudwatch", "from INSUFFICIENT_DATA to ALARM")
    saved(survivor, "cloudwatch_metrics", "Kept")


def send_messages(survivor: Survivor) -> None:
    sqs, sns = survivor.client("sqs"), survivor.client("sns")
    survivor.before["queue"] = url = sqs.create_queue(QueueName="kept-messages")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:000000000000:kept-messages"
    topic = sns.create_topic(Name="kept-topic")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    saved(survivor, "sns", "kept-messages")
    sns.publish(TopicArn=topic, Message="published")
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "b", "MessageBody": "batched"}])
    sqs.send_message(QueueUrl=url, MessageBody="sent")


def start_executions(survivor: Survivor) -> None:
    machines = survivor.client("stepfunctions")
    for name in STARTED:
        machines.start_execution(stateMachineArn=survivor.before["machine"], name=name, input="{}")
    machine = machines.create_state_machine(name="new", definition=WAIT, roleArn=ROLE)["stateMachineArn"]
    machines.start_execution(stateMachineArn=machine, name="first", input="{}")
    survivor.before["new_machine"] = machine


def make_function(survivor: Survivor) -> None:
    functions = Functions(survivor.cloud.endpoint)
    layer = functions.layer({"python/from_layer.py": "WHO = 'layer'"})
    name = functions.create("import from_layer\ndef handler(event, context): return from_layer.WHO", Layers=[layer])
    survivor.before["function"] = name
    saved(survivor, "lambda", f'"FunctionName": "{name}"')


def saved(survivor: Survivor, service: str, text: str) -> None:
    """Wait until a service's snapshot contains a text; it is written shortly after the change."""
    file = survivor.state / "data" / "services" / f"{service}.json"
    eventually(lambda: file.exists() and text in file.read_text())


def test_objects_versions_and_delete_markers_are_restored(survivor: Survivor) -> None:
    assert objects(survivor) == survivor.before["objects"]
    assert survivor.client("s3").get_bucket_versioning(Bucket="kept-objects")["Status"] == "Enabled"


def test_items_are_restored_after_every_kind_of_write(survivor: Survivor) -> None:
    assert items(survivor) == survivor.before["items"]


def test_a_running_execution_becomes_aborted_with_its_input_and_history(survivor: Survivor) -> None:
    machines = survivor.client("stepfunctions")
    aborted = machines.list_executions(stateMachineArn=survivor.before["machine"], statusFilter="ABORTED")["executions"]
    [listed] = [each for each in aborted if each["name"] == "run-1"]
    found = machines.describe_execution(executionArn=listed["executionArn"])
    assert (found["status"], found["name"], found["input"]) == ("ABORTED", "run-1", '{"project": "p"}')
    history = machines.get_execution_history(executionArn=listed["executionArn"])["events"]
    assert [event["type"] for event in history] == ["ExecutionStarted", "WaitStateEntered", "ExecutionAborted"]


def test_executions_are_on_disk_before_the_responses_to_their_starts(survivor: Survivor) -> None:
    machines, machine = survivor.client("stepfunctions"), survivor.before["machine"]
    found = machines.list_executions(stateMachineArn=machine, statusFilter="ABORTED")["executions"]
    assert {each["name"] for each in found} == {"run-1", *STARTED}


def test_a_new_state_machine_is_on_disk_with_its_first_execution(survivor: Survivor) -> None:
    machines = survivor.client("stepfunctions")
    listed = machines.list_executions(stateMachineArn=survivor.before["new_machine"])["executions"]
    assert [each["name"] for each in listed] == ["first"]


def test_messages_from_every_source_are_restored(survivor: Survivor) -> None:
    """SQS documentation: a message is stored before SendMessage returns, and only its consumer deletes it."""
    received = survivor.client("sqs").receive_message(QueueUrl=survivor.before["queue"], MaxNumberOfMessages=10)["Messages"]
    assert {message["Body"] for message in received} == {"published", "batched", "sent"}


def test_an_alarms_state_and_history_are_restored(survivor: Survivor) -> None:
    assert alarm_state(survivor) == "ALARM"
    assert alarm_history(survivor) == survivor.before["alarm_history"]
    [metric] = survivor.client("cloudwatch").list_metrics(Namespace="Kept")["Metrics"]
    assert metric["MetricName"] == "harm"


def alarm_state(survivor: Survivor) -> str:
    [alarm] = survivor.client("cloudwatch").describe_alarms(AlarmNames=["kept-alarm"])["MetricAlarms"]
    return str(alarm["StateValue"])


def alarm_history(survivor: Survivor) -> list[tuple[str, Any]]:
    found = survivor.client("cloudwatch").describe_alarm_history(AlarmName="kept-alarm")["AlarmHistoryItems"]
    return [(item["HistorySummary"], item["Timestamp"]) for item in found]


def _holds_one_file(folder: Path) -> bool:
    return len(list(folder.iterdir())) == 1


def test_log_files_are_removed_when_a_snapshot_contains_their_records(survivor: Survivor) -> None:
    """Every operation on a stack saves everything, and each save begins a new file."""
    formation = survivor.client("cloudformation")
    for number in range(3):
        template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
        formation.create_stack(StackName=f"passing-{number}", TemplateBody=json.dumps(template))
        formation.get_waiter("stack_create_complete").wait(StackName=f"passing-{number}", WaiterConfig=OFTEN)
    saved(survivor, "cloudformation", "passing-2")
    for folder in ("journal", "executions"):
        eventually(partial(_holds_one_file, survivor.state / "data" / folder))


def test_functions_and_their_layers_are_restored(survivor: Survivor) -> None:
    assert Functions(survivor.cloud.endpoint).invoke(survivor.before["function"]).payload == "layer"


def test_a_signature_from_before_the_crash_is_valid(survivor: Survivor) -> None:
    verified = survivor.client("kms").verify(
        KeyId=survivor.before["stack_resources"]["Key"],
        Message=b"m",
        Signature=survivor.before["signature"],
        SigningAlgorithm="ECDSA_SHA_256",
    )
    assert verified["SignatureValid"]


def test_the_next_deployment_keeps_the_resources_of_a_stack(survivor: Survivor) -> None:
    formation = survivor.client("cloudformation")
    assert formation.describe_stacks(StackName="kept")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    changed = {"Resources": {**TEMPLATE["Resources"], "More": {"Type": "AWS::SNS::Topic"}}}
    formation.update_stack(StackName="kept", TemplateBody=json.dumps(changed))
    formation.get_waiter("stack_update_complete").wait(StackName="kept", WaiterConfig=OFTEN)
    resources, before = stack_resources(survivor), survivor.before["stack_resources"]
    assert {name: resources[name] for name in before} == before
    assert survivor.client("s3").get_object(Bucket=before["Bucket"], Key="k")["Body"].read() == b"kept"
    assert survivor.client("dynamodb").scan(TableName=before["Table"])["Count"] == 1
    assert survivor.client("ssm").get_parameter(Name="/kept/bucket")["Parameter"]["Value"] == before["Bucket"]


def test_an_interrupted_overwrite_is_completed_or_rolled_back(survivor: Survivor) -> None:
    s3 = survivor.client("s3")
    s3.create_bucket(Bucket="torn-writes")
    s3.put_object(Bucket="torn-writes", Key="undecided", Body=b"old")
    s3.put_object(Bucket="torn-writes", Key="decided", Body=b"old")
    s3.put_object(Bucket="torn-writes", Key="example", Body=b"new")
    assert survivor.cloud.pid is not None
    kill(survivor.cloud.pid)
    data = survivor.state / "data"
    intents, objects = data / "intents", data / "objects" / "000000000000" / "torn-writes"
    (intents / "a-0.content").write_bytes(b"new")
    (intents / "a.unfinished").write_text('[["')
    (intents / "b-0.content").write_bytes(b"new")
    (intents / "b-1.content").write_text((objects / "example.meta.json").read_text().replace("example", "decided"))
    moves = {"b-0.content": "decided", "b-1.content": "decided.meta.json"}
    (intents / "b.json").write_text(json.dumps([[str(intents / s), str(objects / t)] for s, t in moves.items()]))
    survivor.cloud = lifecycle.up(survivor.state, int(survivor.cloud.endpoint.rpartition(":")[2]))
    s3 = survivor.client("s3")
    assert s3.get_object(Bucket="torn-writes", Key="undecided")["Body"].read() == b"old"
    decided, example = (s3.get_object(Bucket="torn-writes", Key=key) for key in ("decided", "example"))
    assert (decided["Body"].read(), decided["ETag"]) == (b"new", example["ETag"])
    assert list(intents.iterdir()) == []


#: The stack's first resource ends once everything was copied, and what was copied is written once the second is there.
BETWEEN_TWO_RESOURCES = """
import asyncio, threading
from local_cloud.durability.snapshots import Snapshots
from ministack.services import s3
from ministack.services.cloudformation import stacks
copied = threading.Event()
provision, on_thread, copies = stacks._provision_keeping_seed, stacks._runs_on_worker_thread, Snapshots._copies
def provisioned(*arguments, **named):
    if arguments[1] == "First":
        copied.wait(20)
    return provision(*arguments, **named)
async def copies_then_bucket(self):
    result = await copies(self)
    copied.set()
    while not s3._buckets._data:
        await asyncio.sleep(0.01)
    return result
stacks._provision_keeping_seed = provisioned
stacks._runs_on_worker_thread = lambda kind: kind == "AWS::SQS::Queue" or on_thread(kind)
Snapshots._copies = copies_then_bucket
"""


def test_a_bucket_is_not_on_disk_before_its_stack_names_it(tmp_path: Path) -> None:
    template = {
        "Resources": {
            "First": {"Type": "AWS::SQS::Queue"},
            "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "named"}, "DependsOn": "First"},
        }
    }
    cloud = Emulator(tmp_path)
    try:
        cloud.start(BETWEEN_TWO_RESOURCES)
        cloud.client("cloudformation").create_stack(StackName="s", TemplateBody=json.dumps(template))
        file = tmp_path / "s" / "data" / "services" / "cloudformation.json"
        eventually(lambda: file.exists() and "CREATE_IN_PROGRESS" in file.read_text())
        cloud.kill()
        cloud.start()
        formation = cloud.client("cloudformation")
        formation.delete_stack(StackName="s")
        formation.get_waiter("stack_delete_complete").wait(StackName="s", WaiterConfig=OFTEN)
        formation.create_stack(StackName="s", TemplateBody=json.dumps(template))
        formation.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig=OFTEN)
    finally:
        cloud.kill()
