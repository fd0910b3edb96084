"""The deployed registration and deployment functions on moto: a run's model becomes champion, its successor takes over."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from driftless.adapters import aws
from driftless.errors import BadRequest
from driftless.records import Endpoint, RegistrationRequest
from driftless.testing.memory import MemoryStore
from tests.unit.registry.registration.scene import request as registration

LAMBDAS = Path(__file__).parents[4] / "lambdas"


@dataclass
class Context:
    aws_request_id: str = "lambda-1"
    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Bucket, table and key, and the environment of both functions; yields the S3 client."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    values = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "POWERTOOLS_SERVICE_NAME": "function",
        "STAGE": "local",
        "ARTIFACTS_BUCKET": "artifacts",
        "REGISTRY_TABLE": "registry",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    aws.client.cache_clear()
    with mock_aws():
        s3, dynamodb, kms = (boto3.client(name, region_name="us-east-1") for name in ("s3", "dynamodb", "kms"))
        s3.create_bucket(Bucket="artifacts")
        dynamodb.create_table(
            TableName="registry",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        key = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"]
        monkeypatch.setenv("SIGNING_KEY_ID", key)
        yield s3
    aws.client.cache_clear()


def load_handler(folder: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"{folder}_handler_under_test", LAMBDAS / folder / "handler.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler


def uploaded(s3: Any, run_id: str, **changes: Any) -> RegistrationRequest:
    """A run's files in the bucket, and its request."""
    files = MemoryStore()
    made = registration(files, run_id, **changes)
    for key in files.list(""):
        s3.put_object(Bucket="artifacts", Key=key, Body=files.get(key))
    return made


def event(requested: RegistrationRequest) -> dict[str, Any]:
    return requested.model_dump(mode="json")


def endpoint(s3: Any) -> Endpoint:
    body = s3.get_object(Bucket="artifacts", Key="serving/flights/endpoint.json")["Body"].read()
    return Endpoint.model_validate_json(body)


def count(version: str, **counts: float) -> None:
    """What inference's embedded metrics would have counted by now."""
    where = {"Stage": "local", "Project": "flights", "Version": version}
    dimensions = [{"Name": name, "Value": value} for name, value in where.items()]
    data = [
        {"MetricName": name, "Dimensions": dimensions, "Value": value, "Timestamp": datetime.now(UTC)}
        for name, value in counts.items()
    ]
    boto3.client("cloudwatch", region_name="us-east-1").put_metric_data(Namespace="Driftless", MetricData=data)


def test_two_runs_go_through_registration_and_rollout(account: Any) -> None:
    register, deploy = load_handler("registration"), load_handler("deployment")
    first = uploaded(account, "run-1")
    version = register(event(first), Context())
    assert (version["version"], version["decision"]) == (1, "promote")
    assert register(event(first), Context()) == version
    record = deploy({"run": event(first)["run"], "version": version}, Context())
    assert (record["status"], record["champion"]) == ("promoted", 1)
    assert endpoint(account).manifests == {"1": version["manifest_sha256"]}

    second = uploaded(account, "run-2", champion_version=1, champion_metrics={"log_loss": 0.6})
    challenger = register(event(second), Context())
    requested = {"run": event(second)["run"], "version": challenger}
    baking = deploy(requested, Context())
    assert (baking["status"], baking["bake_seconds"], endpoint(account).challenger) == ("baking", 5, 2)
    quiet = deploy({**requested, "deployment": baking}, Context())
    assert (quiet["status"], quiet["step"], quiet["weight"]) == ("baking", baking["step"], 0.1)
    count("2", Predictions=100)
    promoted = deploy({**requested, "deployment": quiet}, Context())
    assert (promoted["status"], promoted["champion"], promoted["previous_champion"]) == ("promoted", 2, 1)
    assert endpoint(account).champion == 2


def test_errors_counted_in_cloudwatch_roll_a_challenger_back(account: Any) -> None:
    register, deploy = load_handler("registration"), load_handler("deployment")
    first = uploaded(account, "run-1")
    deploy({"run": event(first)["run"], "version": register(event(first), Context())}, Context())
    second = uploaded(account, "run-2", champion_version=1)
    requested = {"run": event(second)["run"], "version": register(event(second), Context())}
    baking = deploy(requested, Context())
    count("2", Predictions=90, PredictionErrors=10)
    rolled = deploy({**requested, "deployment": baking}, Context())
    assert (rolled["status"], rolled["champion"]) == ("rolled_back", 1)
    assert "10 errors in 100 predictions" in rolled["reasons"][0]
    assert endpoint(account).challenger is None


def test_a_malformed_event_is_a_bad_request(account: Any) -> None:
    with pytest.raises(BadRequest, match="DeploymentRequest"):
        load_handler("deployment")({"run": {}}, Context())
