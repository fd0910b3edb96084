"""Health of every deployed resource.

CloudFormation lists the resources of a stage. For each type with a state, this module knows the call that
returns it. Types without a state (roles, permissions, API methods …) are counted, not listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

from botocore.exceptions import ClientError

from cli.shared import history
from cli.shared.failures import Failure
from cli.shared.platform import Platform
from driftless.core.layout.parameters import INFERENCE_LOG

Health = Literal["ok", "warn", "bad", "idle"]
WORKERS = 8
_DIGEST = re.compile(r"[0-9A-F]{8}$")


@dataclass(frozen=True)
class Part:
    """One deployed part: its kind, name, place and health."""

    kind: str
    name: str
    where: str
    health: Health
    detail: str
    stack: str = ""


@dataclass(frozen=True)
class Resource:
    """A stack resource as CloudFormation lists it."""

    stack: str
    kind: str
    logical: str
    physical: str


def stacks(platform: Platform) -> list[dict[str, Any]]:
    """The stage's stacks."""
    pages = platform.client("cloudformation").get_paginator("describe_stacks").paginate()
    found = [
        dict(stack) for page in pages for stack in page["Stacks"] if stack["StackName"].startswith(f"driftless-{platform.stage}-")
    ]
    return sorted(
        (stack for stack in found if stack["StackStatus"] != "DELETE_COMPLETE"), key=lambda stack: str(stack["StackName"])
    )


def resources(platform: Platform, stack: str) -> list[Resource]:
    """The resources of a stack."""
    pages = platform.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    return [
        Resource(stack, entry["ResourceType"], entry["LogicalResourceId"], entry.get("PhysicalResourceId", ""))
        for page in pages
        for entry in page["StackResourceSummaries"]
    ]


def deploy_seconds(platform: Platform, stack: str) -> float:
    """Duration of the stack's latest deployment, from CloudFormation's events."""
    pages = platform.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack)
    own = [event for page in pages for event in page["StackEvents"] if event["LogicalResourceId"] == stack]
    begun = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
    ended = next((event for event in own if event["ResourceStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")), None)
    if ended is None:
        return 0.0
    began = next(event for event in own[own.index(ended) :] if event["ResourceStatus"] in begun)
    return float((ended["Timestamp"] - began["Timestamp"]).total_seconds())


def stack_part(stack: dict[str, Any]) -> Part:
    """Health of a stack."""
    status = str(stack["StackStatus"])
    settled = status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    health: Health = "ok" if settled else "warn" if status.endswith("IN_PROGRESS") else "bad"
    return Part("stack", stack["StackName"], stack["StackId"], health, status)


def parts(platform: Platform, found: list[Resource]) -> list[Part]:
    """Health of every resource that has a check; calls run in parallel."""
    known = [resource for resource in found if resource.kind in CHECKS]
    for service in {CHECKS[resource.kind][0] for resource in known}:
        platform.client(service)
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda resource: _checked(platform, resource), known))


def _checked(platform: Platform, resource: Resource) -> Part:
    service, check = CHECKS[resource.kind]
    try:
        found = check(platform, platform.client(service), resource)
        return replace(found, name=display_name(resource.logical), stack=resource.stack)
    except Failure as failure:
        return Part(
            resource.kind.rsplit("::", 1)[-1].lower(), display_name(resource.logical), "", "bad", failure.cause, resource.stack
        )
    except ClientError as error:
        kind = resource.kind.rsplit("::", 1)[-1].lower()
        code = error.response.get("Error", {}).get("Code", "")
        name, said = display_name(resource.logical), f"{error.operation_name}: {code}"
        return Part(kind, name, resource.physical, "bad", said, resource.stack)


def display_name(logical: str) -> str:
    """A logical id without the digest that CDK appends."""
    return _DIGEST.sub("", logical)


def _bucket(_: Platform, client: Any, resource: Resource) -> Part:
    client.head_bucket(Bucket=resource.physical)
    return Part("bucket", resource.physical, f"s3://{resource.physical}", "ok", "reachable")


def _table(_: Platform, client: Any, resource: Resource) -> Part:
    facts = client.describe_table(TableName=resource.physical)["Table"]
    status = facts["TableStatus"]
    return Part("table", resource.physical, facts["TableArn"], "ok" if status == "ACTIVE" else "bad", status)


def _function(_: Platform, client: Any, resource: Resource) -> Part:
    facts = client.get_function_configuration(FunctionName=resource.physical)
    state, update = facts.get("State", "Active"), facts.get("LastUpdateStatus", "Successful")
    ok = state in ("Active", "Inactive") and update == "Successful"
    health: Health = "ok" if ok else "warn" if "Pending" in state or update == "InProgress" else "bad"
    detail = f"{state}, {facts['MemorySize']} MB, {facts['Timeout']} s" if ok else f"{state}, {facts.get('StateReason', update)}"
    return Part("function", resource.physical, facts["FunctionArn"], health, detail)


def _machine(platform: Platform, client: Any, resource: Resource) -> Part:
    facts = client.describe_state_machine(stateMachineArn=resource.physical)
    status = facts.get("status", "ACTIVE")
    latest = client.list_executions(stateMachineArn=resource.physical, maxResults=1)["executions"]
    last = f"last execution {latest[0]['name']} {latest[0]['status']}" if latest else "no executions"
    health: Health = "bad" if status != "ACTIVE" else "ok"
    if latest and latest[0]["status"] not in (history.SUCCEEDED, history.RUNNING):
        health = "warn"
    return Part("state machine", facts["name"], resource.physical, health, last)


def _queue(_: Platform, client: Any, resource: Resource) -> Part:
    names = ["QueueArn", "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "RedrivePolicy"]
    facts = client.get_queue_attributes(QueueUrl=resource.physical, AttributeNames=names)["Attributes"]
    waiting, taken = int(facts.get(names[1], 0)), int(facts.get(names[2], 0))
    # A message in a queue of undelivered work needs attention, unless the queue is retried automatically.
    retried = "RedrivePolicy" in facts
    health: Health = "warn" if waiting + taken and not retried else "ok"
    said = f"{waiting} waiting, {taken} in flight" + (", retried" if retried else "")
    return Part("queue", facts["QueueArn"].rsplit(":", 1)[-1], resource.physical, health, said)


def _alarm(_: Platform, client: Any, resource: Resource) -> Part:
    found = client.describe_alarms(AlarmNames=[resource.physical])["MetricAlarms"]
    if not found:
        return Part("alarm", resource.physical, "", "bad", "does not exist")
    state = found[0]["StateValue"]
    metric = found[0].get("MetricName", "")
    return Part("alarm", resource.physical, found[0]["AlarmArn"], "warn" if state == "ALARM" else "ok", f"{state} ({metric})")


def _rule(_: Platform, client: Any, resource: Resource) -> Part:
    bus, __, name = resource.physical.rpartition("|")
    facts = client.describe_rule(Name=name, **({"EventBusName": bus} if bus else {}))
    state = facts.get("State", "ENABLED")
    what = facts.get("ScheduleExpression") or "event pattern"
    return Part("rule", name, facts.get("Arn", ""), "ok" if state.startswith("ENABLED") else "warn", f"{state}, {what}")


def _key(_: Platform, client: Any, resource: Resource) -> Part:
    facts = client.describe_key(KeyId=resource.physical)["KeyMetadata"]
    state = facts.get("KeyState", "Enabled")
    return Part(
        "key", resource.logical, facts["Arn"], "ok" if state == "Enabled" else "bad", f"{state}, {facts.get('KeySpec', '')}"
    )


def _topic(platform: Platform, client: Any, resource: Resource) -> Part:
    facts = client.get_topic_attributes(TopicArn=resource.physical)["Attributes"]
    confirmed = int(facts.get("SubscriptionsConfirmed", 0))
    # The embedded cloud sends no mail, so it needs no subscription.
    health: Health = "ok" if confirmed or platform.stage == "local" else "warn"
    said = f"{confirmed} subscriptions" + (", so nobody receives notifications" if health == "warn" else "")
    return Part("topic", resource.physical.rsplit(":", 1)[-1], resource.physical, health, said)


def _alias(_: Platform, client: Any, resource: Resource) -> Part:
    function, _separator, name = resource.physical.rpartition(":")
    facts = client.get_alias(FunctionName=function, Name=name)
    moving = (facts.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    also = "".join(f", {share:.0%} to version {version}" for version, share in moving.items())
    return Part("alias", name, resource.physical, "ok", f"version {facts['FunctionVersion']}{also}")


def _subscription(platform: Platform, client: Any, resource: Resource) -> Part:
    """The subscription that sends predictions to the collector: without it predictions are served but never collected."""
    group = platform.parameter(INFERENCE_LOG)
    found = client.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
    there = any(each["filterName"] == resource.physical for each in found)
    return Part(
        "log subscription", resource.physical, group, "ok" if there else "bad", "subscribed" if there else "does not exist"
    )


def _event_source(_: Platform, client: Any, resource: Resource) -> Part:
    facts = client.get_event_source_mapping(UUID=resource.physical)
    state = str(facts["State"])
    ok = state in ("Enabled", "Enabling", "Creating", "Updating")
    return Part("event source mapping", resource.physical, facts["EventSourceArn"], "ok" if ok else "bad", state)


def _log_group(_: Platform, client: Any, resource: Resource) -> Part:
    groups = client.describe_log_groups(logGroupNamePrefix=resource.physical)["logGroups"]
    found = next((group for group in groups if group["logGroupName"] == resource.physical), None)
    if found is None:
        return Part("log group", resource.physical, "", "bad", "does not exist")
    return Part("log group", resource.physical, found["arn"], "ok", f"kept {found.get('retentionInDays', 'for ever')} days")


Check = Callable[[Platform, Any, Resource], Part]
CHECKS: dict[str, tuple[str, Check]] = {
    "AWS::S3::Bucket": ("s3", _bucket),
    "AWS::DynamoDB::Table": ("dynamodb", _table),
    "AWS::DynamoDB::GlobalTable": ("dynamodb", _table),
    "AWS::Lambda::Function": ("lambda", _function),
    "AWS::StepFunctions::StateMachine": ("stepfunctions", _machine),
    "AWS::SQS::Queue": ("sqs", _queue),
    "AWS::CloudWatch::Alarm": ("cloudwatch", _alarm),
    "AWS::Events::Rule": ("events", _rule),
    "AWS::KMS::Key": ("kms", _key),
    "AWS::SNS::Topic": ("sns", _topic),
    "AWS::Logs::LogGroup": ("logs", _log_group),
    "AWS::Logs::SubscriptionFilter": ("logs", _subscription),
    "AWS::Lambda::Alias": ("lambda", _alias),
    "AWS::Lambda::EventSourceMapping": ("lambda", _event_source),
}


def counted(found: list[Resource]) -> Iterator[tuple[str, int]]:
    """Number of resources of each type without a check."""
    rest = [resource.kind for resource in found if resource.kind not in CHECKS]
    for kind in sorted(set(rest)):
        yield kind.removeprefix("AWS::"), rest.count(kind)
