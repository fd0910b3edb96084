"""Stacks: the services return what the template says, and the fidelity comparison finds each difference."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import httpx
import pytest

from local_cloud import lifecycle
from local_cloud.fidelity.comparison import compare
from tests.local_cloud.conftest import ROLE, eventually

Clients = Callable[[str], Any]

BUCKET = {
    "BucketEncryption": {
        "ServerSideEncryptionConfiguration": [
            {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/k"}, "BucketKeyEnabled": True}
        ]
    },
    "LifecycleConfiguration": {
        "Rules": [
            {
                "Id": "expire",
                "Prefix": "staging/",
                "Status": "Enabled",
                "ExpirationInDays": 3,
                "NoncurrentVersionExpiration": {"NoncurrentDays": 2},
            },
            {"Id": "uploads", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
        ]
    },
    "VersioningConfiguration": {"Status": "Enabled"},
}
KEYS = {
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}
TABLE = {
    **KEYS,
    "SSESpecification": {"SSEEnabled": True},
    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    "TimeToLiveSpecification": {"AttributeName": "expiry", "Enabled": True},
}
FUNCTION = {
    "Handler": "index.handler",
    "Runtime": "python3.11",
    "Role": ROLE,
    "Code": {"ZipFile": "def handler(event, context):\n    return {'statusCode': 200, 'body': 'ok'}\n"},
}
MACHINE = {"RoleArn": ROLE, "DefinitionString": '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}'}


def full_template() -> dict[str, Any]:
    """Return one resource of each mended type with all properties that the mend applies."""
    logging = {
        "Level": "ALL",
        "IncludeExecutionData": False,
        "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["Logs", "Arn"]}}}],
    }
    resources: dict[str, tuple[str, dict[str, Any]]] = {
        "Target": ("S3::Bucket", {}),
        "Bucket": (
            "S3::Bucket",
            {**BUCKET, "LoggingConfiguration": {"DestinationBucketName": {"Ref": "Target"}, "LogFilePrefix": "b/"}},
        ),
        "Table": ("DynamoDB::Table", {**TABLE, "DeletionProtectionEnabled": True}),
        "Dead": ("SQS::Queue", {"MessageRetentionPeriod": 1209600, "SqsManagedSseEnabled": True}),
        "Function": (
            "Lambda::Function",
            {
                **FUNCTION,
                "ReservedConcurrentExecutions": 3,
                "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}},
                "TracingConfig": {"Mode": "Active"},
            },
        ),
        "Mapping": (
            "Lambda::EventSourceMapping",
            {
                "EventSourceArn": {"Fn::GetAtt": ["Dead", "Arn"]},
                "FunctionName": {"Fn::GetAtt": ["Function", "Arn"]},
                "BatchSize": 5,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            },
        ),
        "Logs": ("Logs::LogGroup", {"RetentionInDays": 7}),
        "Machine": (
            "StepFunctions::StateMachine",
            {**MACHINE, "LoggingConfiguration": logging, "TracingConfiguration": {"Enabled": True}},
        ),
        "Key": ("KMS::Key", {"KeyPolicy": {"Version": "2012-10-17", "Statement": []}, "EnableKeyRotation": True}),
        "Topic": ("SNS::Topic", {"KmsMasterKeyId": {"Ref": "Key"}, "DisplayName": "d"}),
    }
    return _template(resources)


def bare_template() -> dict[str, Any]:
    """Return the same resources without the properties that the mend applies."""
    return _template(
        {
            "Target": ("S3::Bucket", {}),
            "Bucket": ("S3::Bucket", {"VersioningConfiguration": {"Status": "Enabled"}}),
            "Table": ("DynamoDB::Table", KEYS),
            "Function": ("Lambda::Function", FUNCTION),
            "Machine": ("StepFunctions::StateMachine", MACHINE),
            "Topic": ("SNS::Topic", {"DisplayName": "d"}),
        }
    )


def _template(resources: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    described = {name: {"Type": f"AWS::{kind}", "Properties": each} for name, (kind, each) in resources.items()}
    return {"Resources": described}


class Stack:
    """A stack that is deployed, described and deleted."""

    def __init__(self, client: Clients) -> None:
        self.name = f"stack-{uuid.uuid4().hex[:8]}"
        self._cloudformation = client("cloudformation")

    def deploy(self, template: dict[str, Any], *, update: bool = False) -> None:
        call = self._cloudformation.update_stack if update else self._cloudformation.create_stack
        call(StackName=self.name, TemplateBody=json.dumps(template))
        assert self.settled() == ("UPDATE_COMPLETE" if update else "CREATE_COMPLETE")

    def settled(self) -> str:
        def status() -> str | None:
            (stack,) = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
            return None if "IN_PROGRESS" in stack["StackStatus"] else str(stack["StackStatus"])

        return str(eventually(status))

    def ids(self) -> dict[str, str]:
        found = self._cloudformation.describe_stack_resources(StackName=self.name)["StackResources"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}

    def delete(self) -> None:
        self._cloudformation.delete_stack(StackName=self.name)


class Session:
    """The part of a boto3 session that ``compare`` uses."""

    def __init__(self, client: Clients) -> None:
        self.client = client


def test_template_properties_are_applied_compared_and_reset(client: Clients) -> None:
    """AWS documentation: the pages of the resource types."""
    stack = Stack(client)
    stack.deploy(full_template())
    assert compare(Session(client), [stack.name]) == []
    ids = stack.ids()

    rules = client("s3").get_bucket_lifecycle_configuration(Bucket=ids["Bucket"])["Rules"]
    assert {rule["ID"]: rule.get("Expiration", {}).get("Days") for rule in rules} == {"expire": 3, "uploads": None}
    encryption = client("s3").get_bucket_encryption(Bucket=ids["Bucket"])["ServerSideEncryptionConfiguration"]
    assert encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert client("s3").get_bucket_logging(Bucket=ids["Bucket"])["LoggingEnabled"]["TargetBucket"] == ids["Target"]
    table = client("dynamodb").describe_table(TableName=ids["Table"])["Table"]
    assert table["SSEDescription"]["Status"] == "ENABLED"
    expiry = client("dynamodb").describe_time_to_live(TableName=ids["Table"])["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiry"}
    function = client("lambda").get_function(FunctionName=ids["Function"])
    assert function["Concurrency"]["ReservedConcurrentExecutions"] == 3
    assert function["Configuration"]["DeadLetterConfig"]["TargetArn"].endswith(ids["Dead"].rsplit("/", 1)[-1])
    machine = client("stepfunctions").describe_state_machine(stateMachineArn=ids["Machine"])
    assert machine["loggingConfiguration"]["level"] == "ALL"
    assert machine["tracingConfiguration"] == {"enabled": True}
    assert client("sns").get_topic_attributes(TopicArn=ids["Topic"])["Attributes"]["KmsMasterKeyId"] == ids["Key"]

    # A change made through a service's API, not through the template, is found.
    client("s3").delete_bucket_lifecycle(Bucket=ids["Bucket"])
    client("lambda").put_function_concurrency(FunctionName=ids["Function"], ReservedConcurrentExecutions=9)
    found = {(each.logical_id, each.property_path.split(".")[0], each.kind) for each in compare(Session(client), [stack.name])}
    assert found == {
        ("Bucket", "LifecycleConfiguration", "different"),
        ("Function", "ReservedConcurrentExecutions", "different"),
    }

    stack.deploy(bare_template(), update=True)
    ids = stack.ids()
    assert client("sns").get_topic_attributes(TopicArn=ids["Topic"])["Attributes"].get("KmsMasterKeyId") is None
    with pytest.raises(botocore.exceptions.ClientError):
        client("s3").get_bucket_lifecycle_configuration(Bucket=ids["Bucket"])
    expiry = client("dynamodb").describe_time_to_live(TableName=ids["Table"])["TimeToLiveDescription"]
    assert expiry["TimeToLiveStatus"] == "DISABLED"
    function = client("lambda").get_function(FunctionName=ids["Function"])
    assert "Concurrency" not in function
    assert "DeadLetterConfig" not in function["Configuration"]
    machine = client("stepfunctions").describe_state_machine(stateMachineArn=ids["Machine"])
    assert (machine["loggingConfiguration"]["level"], machine["tracingConfiguration"]) == ("OFF", {"enabled": False})


def test_a_protected_table_cannot_be_deleted_with_its_stack(client: Clients) -> None:
    """DynamoDB documentation: "Using deletion protection to protect your table"."""
    stack = Stack(client)
    stack.deploy(_template({"Table": ("DynamoDB::Table", {**KEYS, "DeletionProtectionEnabled": True})}))
    name = stack.ids()["Table"]
    stack.delete()
    assert stack.settled() == "DELETE_FAILED"
    assert client("dynamodb").describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE"


def test_a_resource_type_without_a_reader_is_reported_as_unverified(client: Clients) -> None:
    stack = Stack(client)
    stack.deploy(_template({"Bus": ("Events::EventBus", {"Name": f"bus-{uuid.uuid4().hex[:8]}"})}))
    (finding,) = compare(Session(client), [stack.name])
    assert (finding.kind, finding.logical_id) == ("unverified", "Bus")
    assert "no reader for AWS::Events::EventBus" in str(finding)


def test_a_request_validator_from_a_template_rejects_invalid_bodies(client: Clients, cloud: lifecycle.Cloud) -> None:
    """API Gateway documentation: "Request validation for REST APIs in API Gateway"."""
    schema = {"type": "object", "required": ["rows"], "properties": {"rows": {"type": "array", "minItems": 1}}}
    uri = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
    resources: dict[str, tuple[str, dict[str, Any]]] = {
        "Function": ("Lambda::Function", FUNCTION),
        "Api": ("ApiGateway::RestApi", {"Name": "api", "EndpointConfiguration": {"Types": ["REGIONAL"]}}),
        "Resource": (
            "ApiGateway::Resource",
            {"RestApiId": {"Ref": "Api"}, "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "PathPart": "predictions"},
        ),
        "Model": (
            "ApiGateway::Model",
            {"RestApiId": {"Ref": "Api"}, "ContentType": "application/json", "Schema": schema, "Name": "Request"},
        ),
        "Validator": ("ApiGateway::RequestValidator", {"RestApiId": {"Ref": "Api"}, "ValidateRequestBody": True}),
        "Method": (
            "ApiGateway::Method",
            {
                "RestApiId": {"Ref": "Api"},
                "ResourceId": {"Ref": "Resource"},
                "HttpMethod": "POST",
                "AuthorizationType": "NONE",
                "RequestValidatorId": {"Ref": "Validator"},
                "RequestModels": {"application/json": {"Ref": "Model"}},
                "Integration": {
                    "Type": "AWS_PROXY",
                    "IntegrationHttpMethod": "POST",
                    "Uri": {"Fn::Join": ["", [uri, {"Fn::GetAtt": ["Function", "Arn"]}, "/invocations"]]},
                },
            },
        ),
        "Deployment": ("ApiGateway::Deployment", {"RestApiId": {"Ref": "Api"}}),
        "Stage": (
            "ApiGateway::Stage",
            {"RestApiId": {"Ref": "Api"}, "DeploymentId": {"Ref": "Deployment"}, "StageName": "live"},
        ),
    }
    template = _template(resources)
    template["Resources"]["Deployment"]["DependsOn"] = ["Method"]
    stack = Stack(client)
    stack.deploy(template)
    assert compare(Session(client), [stack.name]) == []
    url = f"{cloud.endpoint}/_aws/execute-api/{stack.ids()['Api']}/live/predictions"
    assert httpx.post(url, json={"rows": [1]}, timeout=60, trust_env=False).status_code == 200
    refused = httpx.post(url, json={"rows": []}, timeout=60, trust_env=False)
    assert refused.status_code == 400
    assert "Invalid request body" in refused.text
