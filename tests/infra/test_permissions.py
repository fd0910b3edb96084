"""Who may do what: what cdk-nag cannot see."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.infra.conftest import Resource, Synth

# Actions that AWS defines without resources; everything else names its own.
WITHOUT_RESOURCES = {
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "cloudwatch:PutMetricData",
    "cloudwatch:GetMetricData",
    "cloudwatch:DescribeAlarms",
}
DELIVERING = ("MachineRole", "ApiLoggingRole")
"""Who sets up log delivery, whose actions know no resources: state machines and API Gateway, never a function."""


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(synth: Synth) -> list[tuple[str, dict[str, Any]]]:
    """Every statement a role holds, with the policy that carries it."""
    found: list[tuple[str, dict[str, Any]]] = []
    for name, policy in synth.resources("AWS::IAM::Policy").items():
        found += [(name, s) for s in policy["Properties"]["PolicyDocument"]["Statement"]]
    for name, role in synth.resources("AWS::IAM::Role").items():
        for inline in role["Properties"].get("Policies", []):
            found += [(name, s) for s in inline["PolicyDocument"]["Statement"]]
    return found


def function_statements(synth: Synth, folder: str) -> list[dict[str, Any]]:
    wanted = f"/{folder.title()}Policy"
    return [s for name, s in statements(synth) if wanted in name]


@pytest.fixture(params=["local", "prod"])
def synth(request: pytest.FixtureRequest) -> Synth:
    result: Synth = request.getfixturevalue(request.param)
    return result


def test_no_role_carries_a_managed_policy(synth: Synth) -> None:
    for name, role in synth.resources("AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role["Properties"], name


def test_no_statement_allows_every_action_of_a_service(synth: Synth) -> None:
    for name, statement in statements(synth):
        for action in listed(statement["Action"]):
            assert not action.endswith("*"), (name, action)


def test_all_resources_only_for_actions_without_resources(synth: Synth) -> None:
    for name, statement in statements(synth):
        if "*" in listed(statement["Resource"]):
            for action in listed(statement["Action"]):
                delivers = any(holder in name for holder in DELIVERING) and action.startswith("logs:")
                assert action in WITHOUT_RESOURCES or delivers, (name, action)


def test_functions_write_logs_to_their_own_group_only(synth: Synth) -> None:
    from infra.functions import FUNCTIONS

    for folder in FUNCTIONS:
        logs = [s for s in function_statements(synth, folder) if "logs:PutLogEvents" in listed(s["Action"])]
        assert len(logs) == 1
        assert f"{folder.title()}Logs" in json.dumps(logs[0]["Resource"])


def test_each_function_has_a_role_of_its_own(synth: Synth) -> None:
    roles = [json.dumps(f["Properties"]["Role"]) for f in synth.resources("AWS::Lambda::Function").values()]
    assert len(roles) == len(set(roles)) == 14


def test_inference_reads_models_and_writes_nothing(synth: Synth) -> None:
    actions = {a for s in function_statements(synth, "inference") for a in listed(s["Action"])}
    assert actions == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
    }
    objects = [s for s in function_statements(synth, "inference") if "s3:GetObject" in listed(s["Action"])]
    text = json.dumps(objects)
    assert all(f"/{prefix}/*" in text for prefix in ("serving", "models", "trust"))
    assert "Registry" not in json.dumps(function_statements(synth, "inference"))


@pytest.mark.parametrize("folder", ["inference", "scoring", "deployment"])
def test_a_missing_key_is_distinct_from_a_forbidden_one(synth: Synth, folder: str) -> None:
    listing = [s for s in function_statements(synth, folder) if "s3:ListBucket" in listed(s["Action"])]
    assert listing and all("s3:prefix" not in json.dumps(s.get("Condition", {})) for s in listing)


@pytest.mark.parametrize("folder", ["inference", "collector", "labels", "tuning", "training", "scoring", "validation"])
def test_who_does_not_decide_cannot_touch_the_registry(synth: Synth, folder: str) -> None:
    assert "dynamodb:" not in json.dumps(function_statements(synth, folder))


def test_nobody_deletes_from_the_registry(synth: Synth) -> None:
    assert [name for name, statement in statements(synth) if "dynamodb:DeleteItem" in listed(statement["Action"])] == []


def test_only_what_records_lineage_reads_the_commit(synth: Synth) -> None:
    readers = {name.rsplit("/", 1)[-1] for name, s in statements(synth) if "ssm:GetParameter" in listed(s["Action"])}
    assert {re.sub(r"Policy.*", "", name) for name in readers} == {"Ingestion", "Transform"}


@pytest.mark.parametrize("prefix", ["models", "trust"])
def test_only_registration_writes_models_and_trust(synth: Synth, prefix: str) -> None:
    from infra.functions import FUNCTIONS

    for folder in FUNCTIONS:
        writes = [s for s in function_statements(synth, folder) if "s3:PutObject" in listed(s["Action"])]
        assert (f"/{prefix}/*" in json.dumps(writes)) == (folder == "registration"), folder


def denials(policy: dict[str, Any]) -> list[dict[str, Any]]:
    return [s for s in policy["Statement"] if s["Effect"] == "Deny" and "ArnNotEquals" in s.get("Condition", {})]


def test_the_bucket_itself_denies_models_and_trust_to_everyone_else(synth: Synth) -> None:
    policy = synth.properties("AWS::S3::BucketPolicy", "Artifacts")["PolicyDocument"]
    (denial,) = denials(policy)
    assert denial["Principal"] == {"AWS": "*"}
    assert {"s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"} == set(denial["Action"])
    assert sorted(resource["Fn::Join"][1][-1] for resource in denial["Resource"]) == ["/models/*", "/trust/*"]
    assert "RegistrationRole" in json.dumps(denial["Condition"]["ArnNotEquals"]["aws:PrincipalArn"])


def test_the_key_itself_denies_signing_to_everyone_else(synth: Synth) -> None:
    key = synth.properties("AWS::KMS::Key", "SigningKey")
    assert (key["KeySpec"], key["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    (denial,) = denials(key["KeyPolicy"])
    assert denial["Action"] == "kms:Sign"
    assert "RegistrationRole" in json.dumps(denial["Condition"])


def test_registration_runs_as_the_role_that_the_data_stack_names(synth: Synth) -> None:
    function = synth.properties("AWS::Lambda::Function", "RegistrationFunction")
    assert "RegistrationRole" in json.dumps(function["Role"])


def test_governor_starts_only_the_training_machine(synth: Synth) -> None:
    allowed = [s for s in function_statements(synth, "governor") if any("states:" in a for a in listed(s["Action"]))]
    assert len(allowed) == 1
    assert set(allowed[0]["Action"]) == {"states:StartExecution", "states:ListExecutions"}
    assert "TrainAndDeployMachine" in json.dumps(allowed[0]["Resource"])


def test_metrics_are_published_into_our_namespace_only(synth: Synth) -> None:
    (allowed,) = [s for s in function_statements(synth, "monitoring") if s["Action"] == "cloudwatch:PutMetricData"]
    assert allowed["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Driftless"}}


def test_every_stateful_request_is_over_tls(synth: Synth) -> None:
    protected = {json.dumps(p["Properties"]["Bucket"]) for p in synth.resources("AWS::S3::BucketPolicy").values() if tls(p)}
    assert protected == {json.dumps({"Ref": name.split("/")[1]}) for name in synth.resources("AWS::S3::Bucket")}
    for queue in synth.resources("AWS::SQS::Queue"):
        logical = queue.split("/")[1]
        policies = [p for p in synth.resources("AWS::SQS::QueuePolicy").values() if logical in json.dumps(p)]
        assert any(tls(p) for p in policies), queue
    assert all(tls(p) for p in synth.resources("AWS::SNS::TopicPolicy").values())


def tls(policy: Resource) -> bool:
    document = policy["Properties"]["PolicyDocument"]
    return any(
        s["Effect"] == "Deny" and s.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
        for s in document["Statement"]
    )
