"""A cloud that enforces IAM: roles limit functions, and policies can use roles and namespaces as conditions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_cloud import clients, lifecycle
from local_cloud.mends.identity import namespace, role_arn
from tests.local_cloud.conftest import Functions, archive, free_port

CALLS = """
import boto3
def handler(event, context):
    try:
        getattr(boto3.client(event["service"]), event["call"])(**event["with"])
    except Exception as error:
        return getattr(error, "response", {}).get("Error", {}).get("Code", repr(error))
    return "done"
"""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


class Account:
    """A cloud that enforces IAM, and functions in it that make one call each under a role of their own."""

    def __init__(self, cloud: lifecycle.Cloud) -> None:
        self.functions = Functions(cloud.endpoint)
        self.client: Callable[[str], Any] = clients.session(cloud.endpoint).client

    def role(self, name: str, *statements: dict[str, Any]) -> str:
        arn = self.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement} for statement in statements]}
        self.client("iam").put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return str(arn)

    def function(self, role: str) -> Callable[..., str]:
        name = f"as-{role.rpartition('/')[2]}"
        code = {"ZipFile": archive({"handler.py": CALLS})}
        self.functions.client.create_function(
            FunctionName=name, Runtime="python3.11", Role=role, Handler="handler.handler", Code=code, Timeout=20, MemorySize=256
        )
        self.functions.ready(name)

        def call(service: str, operation: str, **given: Any) -> str:
            return str(self.functions.invoke(name, {"service": service, "call": operation, "with": given}).payload)

        return call


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    state = tmp_path_factory.mktemp("iam")
    yield Account(lifecycle.up(state, free_port(), enforce_iam=True))
    lifecycle.down(state)


def test_a_function_may_do_only_what_its_role_allows(account: Account) -> None:
    """Lambda documentation: "Defining Lambda function permissions with an execution role"."""
    for bucket in ("mine", "theirs"):
        account.client("s3").create_bucket(Bucket=bucket)
    call = account.function(account.role("writer", {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::mine/in/*"}))
    assert call("s3", "put_object", Bucket="mine", Key="in/a", Body="1") == "done"
    assert call("s3", "put_object", Bucket="mine", Key="out/a", Body="1") == "AccessDenied"
    assert call("s3", "put_object", Bucket="theirs", Key="in/a", Body="1") == "AccessDenied"
    assert call("s3", "get_object", Bucket="mine", Key="in/a") == "AccessDenied"


def test_a_bucket_policy_applies_to_the_role_of_a_session_and_secure_transport_is_true(account: Account) -> None:
    """ "AWS global condition context keys": aws:PrincipalArn of a session is the role's ARN."""
    account.client("s3").create_bucket(Bucket="trusted")
    everything = {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::trusted/*"}
    signer, other = account.role("signer", everything), account.role("other", everything)
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::trusted/*"}
    statements = [
        {**denied, "Condition": {"ArnNotEquals": {"aws:PrincipalArn": signer}}},
        {**denied, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    account.client("s3").put_bucket_policy(Bucket="trusted", Policy=json.dumps(policy))
    assert account.function(signer)("s3", "put_object", Bucket="trusted", Key="a", Body="1") == "done"
    assert account.function(other)("s3", "put_object", Bucket="trusted", Key="a", Body="1") == "AccessDenied"


def test_a_policy_limits_metrics_to_a_namespace(account: Account) -> None:
    """CloudWatch documentation: "Using condition keys to limit access to CloudWatch namespaces"."""
    only = {"StringEquals": {"cloudwatch:namespace": "Driftless"}}
    role = account.role("meter", {"Action": "cloudwatch:PutMetricData", "Resource": "*", "Condition": only})
    call, data = account.function(role), [{"MetricName": "m", "Value": 1}]
    assert call("cloudwatch", "put_metric_data", Namespace="Driftless", MetricData=data) == "done"
    assert "AccessDenied" in call("cloudwatch", "put_metric_data", Namespace="Other", MetricData=data)


def test_principals_and_namespaces_are_read_from_requests() -> None:
    assert role_arn("arn:aws:sts::123456789012:assumed-role/name/session") == "arn:aws:iam::123456789012:role/name"
    assert role_arn("arn:aws:iam::123456789012:user/name") == "arn:aws:iam::123456789012:user/name"
    assert namespace(b'{"Namespace": "A"}') == namespace(b"Action=PutMetricData&Namespace=A") == "A"
    assert [namespace(body) for body in (b"", b"{", b"[]", b'{"Namespace": 1}', b"\xff", b"Action=PutMetricData")] == [None] * 6
