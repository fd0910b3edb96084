"""A stage leaves: buckets are emptied of every version, retained parts stay, and nothing goes unasked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, WaiterError
from moto import mock_aws
from typer.testing import CliRunner

from cli.commands import destroy
from cli.main import app
from cli.shared.failures import Failure
from cli.shared.platform import Platform, connect

RETAINED = {"KeptBucket"}
RESOURCES = {
    "driftless-dev-data": {
        "Artifacts": ("AWS::S3::Bucket", "dev-artifacts"),
        "KeptBucket": ("AWS::S3::Bucket", "dev-kept"),
    },
    "driftless-dev-serving": {"Topic": ("AWS::SNS::Topic", "dev-topic")},
}
DENY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:Delete*", "Resource": "arn:aws:s3:::dev-artifacts/trust/*"},
    ],
}


class CloudFormation:
    """Stacks by name, in the shapes of AWS. As there, a bucket that holds anything fails the deletion of its stack."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3
        self.protected: set[str] = set()
        self.stacks = {name: dict(resources) for name, resources in RESOURCES.items()}
        self.failures: list[dict[str, str]] = []
        self.before_deleting: list[Callable[[], None]] = []

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=lambda **given: [getattr(self, f"_{operation}")(**given)])

    def _describe_stacks(self) -> dict[str, Any]:
        described = [
            {"StackName": name, "StackStatus": "CREATE_COMPLETE", "EnableTerminationProtection": name in self.protected}
            for name in self.stacks
        ]
        return {"Stacks": described}

    def _list_stack_resources(self, StackName: str) -> dict[str, Any]:
        found = self.stacks[StackName].items()
        return {
            "StackResourceSummaries": [
                {"ResourceType": kind, "LogicalResourceId": logical, "PhysicalResourceId": physical}
                for logical, (kind, physical) in found
            ]
        }

    def _describe_stack_events(self, StackName: str) -> dict[str, Any]:
        return {"StackEvents": self.failures}

    def get_template(self, StackName: str) -> dict[str, Any]:
        policies = {name: {"DeletionPolicy": "Retain"} if name in RETAINED else {} for name in self.stacks[StackName]}
        return {"TemplateBody": {"Resources": policies}}

    def delete_stack(self, StackName: str) -> None:
        for act in self.before_deleting:
            act()
        self.before_deleting.clear()
        self.failures.clear()
        for logical, (kind, physical) in list(self.stacks.get(StackName, {}).items()):
            if kind != "AWS::S3::Bucket" or logical in RETAINED:
                continue
            try:
                self.s3.delete_bucket(Bucket=physical)
            except ClientError as error:
                reason = str(error)
                self.failures.append(
                    {"LogicalResourceId": logical, "ResourceStatus": "DELETE_FAILED", "ResourceStatusReason": reason}
                )
            else:
                del self.stacks[StackName][logical]
        if not self.failures:
            self.stacks.pop(StackName, None)

    def get_waiter(self, name: str) -> Any:
        def wait(StackName: str, WaiterConfig: dict[str, int]) -> None:
            if StackName in self.stacks:
                raise WaiterError(name=name, reason="DELETE_FAILED", last_response={})

        return SimpleNamespace(wait=wait)


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in ("dev-artifacts", "dev-kept"):
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        s3.put_bucket_policy(Bucket="dev-artifacts", Policy=json.dumps(DENY))
        fake = CloudFormation(s3)
        original = Platform.client
        monkeypatch.setattr(Platform, "client", lambda self, name: fake if name == "cloudformation" else original(self, name))
        yield fake


def fill(s3: Any, bucket: str) -> None:
    """Two versions of one object, a deleted object, and an upload that was never finished."""
    for content in (b"1", b"2"):
        s3.put_object(Bucket=bucket, Key="trust/key.der", Body=content)
    s3.put_object(Bucket=bucket, Key="gone", Body=b"3")
    s3.delete_object(Bucket=bucket, Key="gone")
    s3.create_multipart_upload(Bucket=bucket, Key="half")


def test_a_stage_goes_with_its_data_and_keeps_what_is_retained(cloudformation: CloudFormation, runner: CliRunner) -> None:
    s3 = cloudformation.s3
    fill(s3, "dev-artifacts")
    fill(s3, "dev-kept")
    result = runner.invoke(app, ["destroy", "--stage", "dev", "--yes", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "deleted": ["driftless-dev-serving", "driftless-dev-data"],
        "kept": ["AWS::S3::Bucket dev-kept"],
    }
    assert cloudformation.stacks == {}
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["dev-kept"]
    assert len(s3.list_object_versions(Bucket="dev-kept")["Versions"]) == 3


def test_nothing_goes_before_the_stage_is_named(cloudformation: CloudFormation, runner: CliRunner) -> None:
    fill(cloudformation.s3, "dev-artifacts")
    refused = runner.invoke(app, ["destroy", "--stage", "dev"], input="yes\n")
    assert refused.exit_code == 1
    assert "dev-artifacts" in refused.output
    assert "nothing was deleted" in refused.output
    assert set(cloudformation.stacks) == set(RESOURCES)
    assert len(cloudformation.s3.list_object_versions(Bucket="dev-artifacts")["Versions"]) == 3
    agreed = runner.invoke(app, ["destroy", "--stage", "dev"], input="dev\n")
    assert agreed.exit_code == 0, agreed.output
    assert cloudformation.stacks == {}


def test_a_protected_stage_stays_whole(cloudformation: CloudFormation, runner: CliRunner) -> None:
    fill(cloudformation.s3, "dev-artifacts")
    cloudformation.protected.add("driftless-dev-data")
    result = runner.invoke(app, ["destroy", "--stage", "dev", "--yes"])
    assert result.exit_code == 1
    assert "termination protection is on for driftless-dev-data" in result.output
    assert set(cloudformation.stacks) == set(RESOURCES)
    assert cloudformation.s3.get_object(Bucket="dev-artifacts", Key="trust/key.der")["Body"].read() == b"2"


def test_what_is_written_while_the_stack_goes_is_emptied_once_more(cloudformation: CloudFormation) -> None:
    s3 = cloudformation.s3
    cloudformation.before_deleting.append(lambda: s3.put_object(Bucket="dev-artifacts", Key="late", Body=b""))
    (data,) = [each for each in destroy.plan(connect("dev")) if each.buckets]
    destroy.delete(connect("dev"), data)
    assert "driftless-dev-data" not in cloudformation.stacks


def test_a_stack_that_stays_says_why(cloudformation: CloudFormation, runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    cloudformation.s3.put_object(Bucket="dev-artifacts", Key="held", Body=b"")
    monkeypatch.setattr(destroy, "empty", lambda s3, bucket: 0)
    result = runner.invoke(app, ["destroy", "--stage", "dev", "--yes"])
    assert result.exit_code == 1
    assert "Artifacts:" in result.output
    assert "not empty" in result.output


def test_a_stack_of_somebody_else_under_our_name_stops_it(cloudformation: CloudFormation) -> None:
    cloudformation.stacks["driftless-dev-theirs"] = {}
    with pytest.raises(Failure, match="driftless-dev-theirs"):
        destroy.plan(connect("dev"))


def test_a_stage_that_is_not_there_is_no_failure(cloudformation: CloudFormation, runner: CliRunner) -> None:
    cloudformation.stacks.clear()
    result = runner.invoke(app, ["destroy", "--stage", "dev"])
    assert result.exit_code == 0, result.output
    assert "stage 'dev' has no stack" in result.output


def test_more_versions_than_one_call_deletes_all_go(cloudformation: CloudFormation) -> None:
    s3 = cloudformation.s3
    for index in range(destroy.BATCH + 5):
        s3.put_object(Bucket="dev-artifacts", Key=f"lake/{index}", Body=b"")
    assert destroy.empty(s3, "dev-artifacts") == destroy.BATCH + 5
    assert "Versions" not in s3.list_object_versions(Bucket="dev-artifacts")
