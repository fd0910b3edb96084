"""What AWS has acknowledged it keeps: after kill -9 of the server, everything is as it was."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from local_cloud import clients, lifecycle
from local_cloud.durability.journal import Journal
from tests.local_cloud.conftest import ROLE, Functions, eventually, free_port, kill

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


class Killable:
    """A cloud of the test's own, which it may kill."""

    def __init__(self, state: Path) -> None:
        self.state, self.port = state, free_port()
        self.cloud = lifecycle.up(state, self.port)

    def client(self, service: str) -> Any:
        return clients.session(self.cloud.endpoint).client(service)

    def kill_and_start(self) -> None:
        assert self.cloud.pid is not None
        kill(self.cloud.pid)
        self.cloud = lifecycle.up(self.state, self.port)


@pytest.fixture
def killable(own_state: Path) -> Killable:
    return Killable(own_state)


def test_objects_versions_and_delete_markers_come_back_identical(killable: Killable) -> None:
    s3 = killable.client("s3")
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

    def view() -> list[Any]:
        s3 = killable.client("s3")
        listed = s3.list_object_versions(Bucket="kept-objects")
        found: list[Any] = [listed["Versions"], listed["DeleteMarkers"], s3.list_buckets()["Buckets"]]
        for version in listed["Versions"]:
            got = s3.get_object(Bucket="kept-objects", Key=version["Key"], VersionId=version["VersionId"])
            found.append((got["Body"].read(), got["ETag"], got["LastModified"], got["Metadata"], got["ContentType"]))
        return found

    before = view()
    killable.kill_and_start()
    assert view() == before
    assert killable.client("s3").get_bucket_versioning(Bucket="kept-objects")["Status"] == "Enabled"


def test_items_come_back_identical_after_every_kind_of_write(killable: Killable) -> None:
    dynamodb = killable.client("dynamodb")
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    types = [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"}]
    dynamodb.create_table(TableName="kept", KeySchema=keys, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST")

    def key(number: int) -> dict[str, Any]:
        return {"pk": {"S": "p"}, "sk": {"N": str(number)}}

    for number in range(20):
        dynamodb.put_item(TableName="kept", Item={**key(number), "data": {"B": b"\x00\xff"}, "list": {"L": [{"BOOL": True}]}})
    for _ in range(5):
        dynamodb.update_item(
            TableName="kept",
            Key=key(1),
            UpdateExpression="ADD hits :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
    dynamodb.delete_item(TableName="kept", Key=key(2))
    dynamodb.batch_write_item(RequestItems={"kept": [{"PutRequest": {"Item": key(100)}}, {"DeleteRequest": {"Key": key(3)}}]})
    dynamodb.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": "kept", "Item": key(200), "ConditionExpression": "attribute_not_exists(pk)"}},
            {"Delete": {"TableName": "kept", "Key": key(4)}},
        ]
    )

    def view() -> list[Any]:
        dynamodb = killable.client("dynamodb")
        table = dynamodb.describe_table(TableName="kept")["Table"]
        return [dynamodb.scan(TableName="kept")["Items"], table["TableId"], table["CreationDateTime"]]

    before = view()
    killable.kill_and_start()
    assert view() == before
    killable.kill_and_start()  # the journal must not be applied to a snapshot that contains it
    assert view() == before


def test_a_stack_its_key_and_its_data_survive_and_the_next_deploy_adopts_them(killable: Killable) -> None:
    formation = killable.client("cloudformation")
    formation.create_stack(StackName="kept", TemplateBody=json.dumps(TEMPLATE))
    formation.get_waiter("stack_create_complete").wait(StackName="kept", WaiterConfig={"Delay": 1})
    resources = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in formation.describe_stack_resources(StackName="kept")["StackResources"]
    }
    killable.client("s3").put_object(Bucket=resources["Bucket"], Key="k", Body=b"kept")
    killable.client("dynamodb").put_item(TableName=resources["Table"], Item={"pk": {"S": "kept"}})
    signature = killable.client("kms").sign(KeyId=resources["Key"], Message=b"m", SigningAlgorithm="ECDSA_SHA_256")
    _settle(killable.state / "data" / "services" / "cloudformation.json", "CREATE_COMPLETE")
    killable.kill_and_start()

    changed = {"Resources": {**TEMPLATE["Resources"], "More": {"Type": "AWS::SNS::Topic"}}}
    formation = killable.client("cloudformation")
    assert formation.describe_stacks(StackName="kept")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    formation.update_stack(StackName="kept", TemplateBody=json.dumps(changed))
    formation.get_waiter("stack_update_complete").wait(StackName="kept", WaiterConfig={"Delay": 1})
    after = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in formation.describe_stack_resources(StackName="kept")["StackResources"]
    }
    assert {name: after[name] for name in resources} == resources
    assert killable.client("s3").get_object(Bucket=after["Bucket"], Key="k")["Body"].read() == b"kept"
    assert killable.client("dynamodb").scan(TableName=after["Table"])["Count"] == 1
    assert killable.client("ssm").get_parameter(Name="/kept/bucket")["Parameter"]["Value"] == resources["Bucket"]
    algorithm = {"SigningAlgorithm": "ECDSA_SHA_256", "Signature": signature["Signature"]}
    assert killable.client("kms").verify(KeyId=resources["Key"], Message=b"m", **algorithm)["SignatureValid"]


def test_a_running_execution_becomes_aborted_with_its_input_and_history(killable: Killable) -> None:
    machines = killable.client("stepfunctions")
    definition = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 300, "End": True}}})
    machine = machines.create_state_machine(name="long", definition=definition, roleArn=ROLE)["stateMachineArn"]
    execution = machines.start_execution(stateMachineArn=machine, name="run-1", input='{"project": "p"}')["executionArn"]
    _settle(killable.state / "data" / "services" / "stepfunctions.json", "WaitStateEntered")
    killable.kill_and_start()
    machines = killable.client("stepfunctions")
    found = machines.describe_execution(executionArn=execution)
    assert (found["status"], found["name"], found["input"]) == ("ABORTED", "run-1", '{"project": "p"}')
    history = machines.get_execution_history(executionArn=execution)["events"]
    assert [event["type"] for event in history] == ["ExecutionStarted", "WaitStateEntered", "ExecutionAborted"]
    assert machines.list_executions(stateMachineArn=machine, statusFilter="ABORTED")["executions"][0]["name"] == "run-1"


def test_functions_and_their_layers_survive(killable: Killable) -> None:
    functions = Functions(killable.cloud.endpoint)
    layer = functions.layer({"python/from_layer.py": "WHO = 'layer'"})
    name = functions.create("import from_layer\ndef handler(event, context): return from_layer.WHO", Layers=[layer])
    assert functions.invoke(name).payload == "layer"
    _settle(killable.state / "data" / "services" / "lambda.json", f'"FunctionName": "{name}"')
    killable.kill_and_start()
    assert Functions(killable.cloud.endpoint).invoke(name).payload == "layer"


def test_an_overwrite_that_was_cut_short_is_finished_or_never_happened(killable: Killable) -> None:
    s3 = killable.client("s3")
    s3.create_bucket(Bucket="torn-writes")
    s3.put_object(Bucket="torn-writes", Key="undecided", Body=b"old")
    s3.put_object(Bucket="torn-writes", Key="decided", Body=b"old")
    assert killable.cloud.pid is not None
    kill(killable.cloud.pid)
    data = killable.state / "data"
    intents, objects = data / "intents", data / "objects" / "000000000000" / "torn-writes"
    (intents / "a-0.content").write_bytes(b"new")
    (intents / "a.unfinished").write_text('[["')
    (intents / "b-0.content").write_bytes(b"new")
    (intents / "b.json").write_text(json.dumps([[str(intents / "b-0.content"), str(objects / "decided")]]))
    lifecycle.up(killable.state, killable.port)
    s3 = killable.client("s3")
    assert s3.get_object(Bucket="torn-writes", Key="undecided")["Body"].read() == b"old"
    assert s3.get_object(Bucket="torn-writes", Key="decided")["Body"].read() == b"new"
    assert list(intents.iterdir()) == []


def test_a_torn_journal_record_is_dropped_and_what_precedes_it_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for record in (b"one", b"two"):
        journal.append(record)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:7])
    assert list(Journal(tmp_path).read(0)) == [b"one", b"two"]
    path.write_bytes(whole[:-1])
    assert list(Journal(tmp_path).read(0)) == [b"one"]


def test_a_journal_is_read_from_the_file_a_snapshot_names(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(b"in the snapshot")
    first = journal.rotate()
    journal.append(b"after it")
    assert list(Journal(tmp_path).read(first)) == [b"after it"]
    journal.forget(first)
    assert list(Journal(tmp_path).read(0)) == [b"after it"]


def _settle(file: Path, text: str) -> None:
    """Wait until the control plane's snapshot says something: it is written shortly after the change."""
    began = time.monotonic()
    eventually(lambda: file.exists() and text in file.read_text())
    assert time.monotonic() - began < 5
