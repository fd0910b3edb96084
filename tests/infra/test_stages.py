"""What each stage setting does to the templates, pinned."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import pytest

from infra import settings
from tests.infra.conftest import ALIKE, ROOT, Synth

STATEFUL = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::Logs::LogGroup")


def kinds(synth: Synth) -> set[str]:
    return {r["Type"] for template in synth.templates.values() for r in template["Resources"].values()}


COMMON = {"commit": "unknown", "alarm_email": None}
IN_AWS = {
    "architecture": "arm64",
    "python": "3.14",
    "native_packages": False,
    "named_functions": False,
    "access_logs": True,
    "open_pages": False,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "local": {
        "architecture": settings.host_architecture(),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "native_packages": True,
        "named_functions": True,
        "retain_data": False,
        "deletion_protection": False,
        "termination_protection": False,
        "log_retention_days": 7,
        "run_retention_days": 30,
        "staging_retention_days": 1,
        "code_canary": False,
        "snap_start": False,
        "web_firewall": False,
        "access_logs": False,
        "open_pages": True,
        "monthly_budget": None,
        "api_rate": 5000,
        "api_burst": 5000,
    },
    "dev": {
        **IN_AWS,
        "retain_data": False,
        "deletion_protection": False,
        "termination_protection": False,
        "log_retention_days": 30,
        "run_retention_days": 30,
        "staging_retention_days": 3,
        "code_canary": False,
        "snap_start": False,
        "web_firewall": False,
        "monthly_budget": None,
        "api_rate": 200,
        "api_burst": 400,
    },
    "prod": {
        **IN_AWS,
        "retain_data": True,
        "deletion_protection": True,
        "termination_protection": True,
        "log_retention_days": 365,
        "run_retention_days": 180,
        "staging_retention_days": 7,
        "code_canary": True,
        "snap_start": True,
        "web_firewall": True,
        "monthly_budget": 200,
        "api_rate": 1000,
        "api_burst": 2000,
    },
}


@pytest.mark.parametrize("stage", sorted(SETTINGS))
def test_settings_of_each_stage(stage: str) -> None:
    assert dataclasses.asdict(settings.for_stage(stage)) == {"stage": stage, **COMMON, **SETTINGS[stage]}


def test_dev_is_made_as_its_settings_say(dev: Synth, prod: Synth) -> None:
    assert kinds(prod) - kinds(dev) == {
        "AWS::CodeDeploy::Application",
        "AWS::CodeDeploy::DeploymentGroup",
        "AWS::Budgets::Budget",
        "AWS::WAFv2::WebACL",
        "AWS::WAFv2::WebACLAssociation",
    }
    for kind in STATEFUL:
        assert {r["DeletionPolicy"] for r in dev.resources(kind).values()} == {"Delete"}, kind
    assert {f["Properties"]["Runtime"] for f in dev.resources("AWS::Lambda::Function").values()} == {"python3.14"}
    assert {f["Properties"]["Architectures"][0] for f in dev.resources("AWS::Lambda::Function").values()} == {"arm64"}
    assert {g["Properties"]["RetentionInDays"] for g in dev.resources("AWS::Logs::LogGroup").values()} == {30}
    assert not any(t["Properties"]["DeletionProtectionEnabled"] for t in dev.resources("AWS::DynamoDB::Table").values())


def test_no_stage_takes_the_logs_of_another_along(local: Synth, dev: Synth, prod: Synth) -> None:
    """API Gateway's permission to log is one for all stages of an account."""
    for synth in (local, dev, prod):
        (account,) = synth.resources("AWS::ApiGateway::Account").values()
        (role,) = [r for name, r in synth.resources("AWS::IAM::Role").items() if "LoggingRole" in name]
        for resource in (account, role):
            assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_context_selects_the_stage_and_unknown_stages_are_named() -> None:
    assert settings.from_context({}).stage == "local"
    assert settings.from_context({"stage": "dev", "commit": "abc"}).commit == "abc"
    with pytest.raises(settings.UnknownStage, match="no stage 'staging'; choose local, dev or prod"):
        settings.from_context({"stage": "staging"})


def test_functions_in_aws_run_on_the_processors_that_the_context_names() -> None:
    assert settings.from_context({"stage": "prod"}).architecture == "arm64"
    assert settings.from_context({"stage": "prod", "architecture": "x86_64"}).architecture == "x86_64"
    with pytest.raises(settings.UnknownArchitecture, match="no architecture 'sparc'; choose arm64 or x86_64"):
        settings.from_context({"stage": "prod", "architecture": "sparc"})
    here = settings.host_architecture()
    assert settings.from_context({"architecture": here}).architecture == here
    with pytest.raises(settings.UnknownArchitecture, match=rf"does not match this machine \({here}\)"):
        settings.from_context({"architecture": "x86_64" if here == "arm64" else "arm64"})


def test_python_in_aws_is_the_newest_that_cdk_knows() -> None:
    from aws_cdk import aws_lambda

    minors = [int(name.removeprefix("PYTHON_3_")) for name in dir(aws_lambda.Runtime) if name.startswith("PYTHON_3_")]
    assert f"3.{max(minors)}" == settings.AWS_PYTHON


def test_data_stays_in_prod_and_leaves_with_the_local_stage(local: Synth, prod: Synth) -> None:
    for kind in STATEFUL:
        # RetainExceptOnCreate takes back what a failed first deployment made; protected tables could not go.
        kept = "Retain" if kind == "AWS::DynamoDB::Table" else "RetainExceptOnCreate"
        assert {r["DeletionPolicy"] for r in prod.resources(kind).values()} == {kept}, kind
        assert {r["DeletionPolicy"] for r in local.resources(kind).values()} == {"Delete"}, kind


def test_tables_are_protected_recoverable_encrypted_and_billed_by_request(local: Synth, prod: Synth) -> None:
    for synth, protected in ((local, False), (prod, True)):
        tables = synth.resources("AWS::DynamoDB::Table")
        assert len(tables) == 1
        for table in tables.values():
            properties = table["Properties"]
            assert properties["DeletionProtectionEnabled"] is protected
            assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
            assert properties["SSESpecification"] == {"SSEEnabled": True}
            assert properties["BillingMode"] == "PAY_PER_REQUEST"


def test_table_keys(local: Synth) -> None:
    registry = local.properties("AWS::DynamoDB::Table", "RegistryTable")
    assert registry["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]


def test_buckets_are_private_versioned_and_encrypted(local: Synth, prod: Synth) -> None:
    for synth in (local, prod):
        for name, bucket in synth.resources("AWS::S3::Bucket").items():
            properties = bucket["Properties"]
            assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}, name
            assert "BucketEncryption" in properties, name
            if "AccessLogs" not in name:
                assert properties["VersioningConfiguration"] == {"Status": "Enabled"}, name


def test_what_is_temporary_expires(local: Synth, prod: Synth) -> None:
    for synth, staging, runs in ((local, 1, 30), (prod, 7, 180)):
        temporary = [("BucketsLake", "staging/", staging), ("BucketsLake", "predictions/_receipts/", 7)]
        for bucket, prefix, days in (*temporary, ("BucketsArtifacts", "runs/", runs)):
            rules = synth.properties("AWS::S3::Bucket", bucket)["LifecycleConfiguration"]["Rules"]
            (rule,) = [r for r in rules if r.get("Prefix") == prefix]
            assert rule["ExpirationInDays"] == days
            assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": days}


def test_landing_sends_events_without_a_custom_resource(local: Synth) -> None:
    landing = local.properties("AWS::S3::Bucket", "Landing")
    assert landing["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


@pytest.mark.parametrize("stage", ["local", "prod"])
def test_no_custom_resources_and_no_functions_but_ours(stage: str, request: pytest.FixtureRequest) -> None:
    synth: Synth = request.getfixturevalue(stage)
    assert not {kind for kind in kinds(synth) if kind.startswith(("Custom::", "AWS::CloudFormation::"))}
    assert len(synth.resources("AWS::Lambda::Function")) == 14


def test_local_uses_only_what_the_embedded_cloud_creates(local: Synth, prod: Synth) -> None:
    only_aws = {
        "AWS::CodeDeploy::Application",
        "AWS::CodeDeploy::DeploymentGroup",
        "AWS::Budgets::Budget",
        "AWS::WAFv2::WebACL",
        "AWS::WAFv2::WebACLAssociation",
    }
    assert kinds(prod) - kinds(local) == only_aws


def test_prod_rolls_out_code_of_the_api_by_canary(prod: Synth) -> None:
    groups = prod.resources("AWS::CodeDeploy::DeploymentGroup")
    assert sorted(name.split("Rollout")[0] for name in groups) == ["serving/Inference", "serving/Labels"]
    for group in groups.values():
        assert group["Properties"]["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["Properties"]["AutoRollbackConfiguration"]["Events"]
    for alias in ("InferenceLive", "LabelsLive"):
        (resource,) = [r for name, r in prod.resources("AWS::Lambda::Alias").items() if alias in name]
        assert "CodeDeployLambdaAliasUpdate" in resource["UpdatePolicy"]


def rollout_alarms(prod: Synth, function: str) -> dict[str, dict[str, Any]]:
    """Alarms a function's deployment group looks at, by the metric math they are over."""
    (group,) = [g for n, g in prod.resources("AWS::CodeDeploy::DeploymentGroup").items() if f"/{function}Rollout" in n]
    assert group["Properties"]["AlarmConfiguration"]["Enabled"] is True
    named = [entry["Name"]["Ref"] for entry in group["Properties"]["AlarmConfiguration"]["Alarms"]]
    alarms = [prod.templates["serving"]["Resources"][name]["Properties"] for name in named]
    return {next(m["Expression"] for m in a["Metrics"] if "Expression" in m): a for a in alarms}


def test_new_code_is_rolled_back_for_its_own_failures_and_not_for_one_error(prod: Synth) -> None:
    for function in ("Inference", "Labels"):
        alarm = rollout_alarms(prod, function)["IF(errors >= 3, 100 * errors / invocations, 0)"]
        assert (alarm["Threshold"], alarm["TreatMissingData"]) == (5, "notBreaching")
        metrics = {m["MetricStat"]["Metric"]["MetricName"]: m["MetricStat"] for m in alarm["Metrics"] if "MetricStat" in m}
        assert set(metrics) == {"Errors", "Invocations"}
        for metric in metrics.values():
            dimensions = {entry["Name"]: entry["Value"] for entry in metric["Metric"]["Dimensions"]}
            assert set(dimensions) == {"FunctionName", "Resource", "ExecutedVersion"}
            assert f"{function}FunctionCurrentVersion" in json.dumps(dimensions["ExecutedVersion"])
            assert dimensions["Resource"]["Fn::Join"][1][-1] == ":live"
            assert (metric["Period"], metric["Stat"]) == (60, "Sum")


def test_new_code_is_rolled_back_when_it_cannot_load_models(prod: Synth) -> None:
    alarm = rollout_alarms(prod, "Inference")["FILL(m0, 0) + FILL(m1, 0)"]
    metrics = [m["MetricStat"]["Metric"] for m in alarm["Metrics"] if "MetricStat" in m]
    assert {m["MetricName"] for m in metrics} == {"EndpointRefreshFailed", "ModelRefused"}
    for metric in metrics:
        dimensions = {entry["Name"]: entry["Value"] for entry in metric["Dimensions"]}
        assert dimensions["Stage"] == "prod"
        assert "InferenceFunctionCurrentVersion" in json.dumps(dimensions["CodeVersion"])


def test_a_new_version_inherits_no_alarm_of_the_one_before(prod: Synth) -> None:
    for function in ("Inference", "Labels"):
        for alarm in rollout_alarms(prod, function).values():
            assert f"{function}FunctionCurrentVersion" in json.dumps(alarm["AlarmName"])


def test_snap_start_for_who_serves_requests(local: Synth, prod: Synth) -> None:
    assert not [f for f in local.resources("AWS::Lambda::Function").values() if "SnapStart" in f["Properties"]]
    started = [name for name, f in prod.resources("AWS::Lambda::Function").items() if "SnapStart" in f["Properties"]]
    assert sorted(name.split("Function")[0] for name in started) == ["serving/Inference", "serving/Labels"]


def test_runtime_and_processor(local: Synth, prod: Synth) -> None:
    here = settings.for_stage("local")
    for synth, python, processor in ((local, here.python, here.architecture), (prod, "3.14", "arm64")):
        for function in synth.resources("AWS::Lambda::Function").values():
            assert function["Properties"]["Runtime"] == f"python{python}"
            assert function["Properties"]["Architectures"] == [processor]
            assert function["Properties"]["TracingConfig"] == {"Mode": "Active"}


def test_logs_end(local: Synth, prod: Synth) -> None:
    for synth, days in ((local, 7), (prod, 365)):
        groups = synth.resources("AWS::Logs::LogGroup")
        # One per function, per machine, and the API's two.
        assert len(groups) == 14 + 3 + 2
        assert {group["Properties"]["RetentionInDays"] for group in groups.values()} == {days}


def test_prod_watches_its_bill(prod: Synth) -> None:
    budget = prod.properties("AWS::Budgets::Budget", "Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 200, "Unit": "USD"}
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": ["user:stage$prod"]}
    functions = prod.resources("AWS::Lambda::Function").values()
    assert all({"Key": "stage", "Value": "prod"} in f["Properties"]["Tags"] for f in functions)
    assert [n["Notification"]["NotificationType"] for n in budget["NotificationsWithSubscribers"]] == ["ACTUAL", "FORECASTED"]


def test_the_idle_bill_in_the_handbook_is_that_of_the_templates(dev: Synth, prod: Synth) -> None:
    """One project, list prices: $0.10 for each metric of an alarm, $1 a key, $5 a firewall and $1 each rule."""
    text = (ROOT / "docs/operations.md").read_text()
    rows = {
        cells[1].strip().split(",")[0].split(":")[0]: cells for line in text.splitlines() if len(cells := line.split("|")) == 5
    }
    for synth, column in ((dev, 2), (prod, 3)):
        alarms = [a["Properties"] for a in synth.resources("AWS::CloudWatch::Alarm").values()]
        # The dev stage of these tests has a project more.
        alarms = [a for a in alarms if {"Name": "Project", "Value": ALIKE[1]} not in a.get("Dimensions", [])]
        metrics = sum(sum("MetricStat" in m for m in a["Metrics"]) if "Metrics" in a else 1 for a in alarms)
        assert rows["alarms"][column].strip() == f"${metrics / 10:.2f}"
        assert rows["two KMS keys"][column].strip() == f"${len(synth.resources('AWS::KMS::Key')):.2f}"
        walls = list(synth.resources("AWS::WAFv2::WebACL").values())
        cost = sum(5 + len(wall["Properties"]["Rules"]) for wall in walls)
        assert rows["web firewall"][column].strip() == (f"${cost:.2f}" if cost else "")
        ready = [f["Properties"] for f in synth.resources("AWS::Lambda::Function").values() if "SnapStart" in f["Properties"]]
        kept = sum(f["MemorySize"] for f in ready) / 1024 * 30 * 86400 * 0.0000015
        assert rows["SnapStart"][column].strip() == (f"${round(kept, 1):.2f}" if ready else "")


def test_prod_stands_behind_a_firewall(prod: Synth) -> None:
    rules = prod.properties("AWS::WAFv2::WebACL", "Firewall")["Rules"]
    assert [rule["Name"] for rule in rules] == ["common", "rate"]
    rate = rules[1]["Statement"]["RateBasedStatement"]
    # One caller behind one address may use what the API grants: 1000 requests a second.
    assert (rate["Limit"], rate["EvaluationWindowSec"], rate["AggregateKeyType"]) == (300_000, 300, "IP")
    assert "ApiDeploymentStage" in json.dumps(prod.properties("AWS::WAFv2::WebACLAssociation", "Firewall")["ResourceArn"])


def test_prod_logs_access_to_buckets(prod: Synth) -> None:
    for bucket in ("BucketsLanding", "BucketsLake", "BucketsArtifacts"):
        assert "AccessLogs" in json.dumps(prod.properties("AWS::S3::Bucket", bucket)["LoggingConfiguration"])


def test_prod_stacks_cannot_be_deleted_by_accident(prod: Synth, local: Synth) -> None:
    def protected(synth: Synth) -> set[bool]:
        manifest = json.loads((synth.folder / "manifest.json").read_text())
        stacks = [a for a in manifest["artifacts"].values() if a["type"] == "aws:cloudformation:stack"]
        assert len(stacks) == 4
        return {stack["properties"].get("terminationProtection", False) for stack in stacks}

    assert protected(prod) == {True}
    assert protected(local) == {False}


# What one stack takes from another, and why it may stay for good: CloudFormation takes back no export that is in use.
EXPORTED = {
    ("data", "Buckets"): "data outlives every function",
    ("data", "Registry"): "data outlives every function",
    ("data", "SigningKey"): "versions are verified by it for ever",
    ("data", "RegistrationRole"): "key and bucket name it as the one who may",
    ("data", "Notifications"): "where every alarm goes",
    ("data", "TopicKey"): "encrypts what goes there",
    ("data", "ParameterCommit"): "which commit is deployed",
    ("pipeline", "TrainAndDeployMachine"): "what the governor starts; the loop is nothing without it",
}


def test_stacks_share_only_what_stays(local: Synth, dev: Synth, prod: Synth) -> None:
    for synth in (local, dev, prod):
        exports = {(stack, n) for stack, t in synth.templates.items() for n, o in t.get("Outputs", {}).items() if "Export" in o}
        assert exports
        unexplained = [entry for entry in exports if not any(entry[0] == s and name in entry[1] for s, name in EXPORTED)]
        assert unexplained == []
        assert all(any(s == stack and name in exported for stack, exported in exports) for s, name in EXPORTED)


def test_synth_needs_no_account(local: Synth, prod: Synth) -> None:
    for synth in (local, prod):
        manifest: dict[str, Any] = json.loads((synth.folder / "manifest.json").read_text())
        assert "missing" not in manifest
        stacks = [a for a in manifest["artifacts"].values() if a["type"] == "aws:cloudformation:stack"]
        assert {stack["environment"] for stack in stacks} == {"aws://unknown-account/unknown-region"}


def test_the_topic_notifies_people(prod: Synth) -> None:
    subscription = prod.properties("AWS::SNS::Subscription", "ops")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@example.org")
    assert "KmsMasterKeyId" in prod.properties("AWS::SNS::Topic", "Notifications")
    assert prod.properties("AWS::KMS::Key", "TopicKey")["EnableKeyRotation"] is True
