"""status, logs and monitor: what the services say, as people and programs read it."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.commands import logs, status
from cli.main import app
from cli.shared.failures import Failure
from cli.shared.health import CHECKS, Part, Resource, deploy_seconds
from cli.shared.platform import Platform
from tests.unit.cli.fakes import START, StepFunctions

OTHERS = "somebody-elses"
OURS = "driftless-dev-data"


class CloudFormation:
    """Two stacks in the shapes of AWS; their resources live on moto."""

    def __init__(self, resources: list[tuple[str, str, str]]) -> None:
        self.resources = resources

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=getattr(self, operation))

    def describe_stacks(self) -> list[dict[str, Any]]:
        return [
            {
                "Stacks": [
                    {"StackName": name, "StackId": f"arn:{name}", "StackStatus": "CREATE_COMPLETE"} for name in (OURS, OTHERS)
                ]
            }
        ]

    def list_stack_resources(self, StackName: str) -> list[dict[str, Any]]:
        found = self.resources if StackName == OURS else [("AWS::S3::Bucket", "Foreign", "foreign")]
        keys = ("ResourceType", "LogicalResourceId", "PhysicalResourceId")
        return [{"StackResourceSummaries": [dict(zip(keys, resource, strict=True)) for resource in found]}]

    def describe_stack_events(self, StackName: str) -> list[dict[str, Any]]:
        story = [("UPDATE_COMPLETE", 100), ("UPDATE_IN_PROGRESS", 93), ("CREATE_COMPLETE", 50), ("CREATE_IN_PROGRESS", 10)]
        stack = [
            {"LogicalResourceId": StackName, "ResourceStatus": s, "Timestamp": START + timedelta(seconds=t)} for s, t in story
        ]
        return [{"StackEvents": [{**stack[0], "LogicalResourceId": "Bucket", "Timestamp": START}, *stack]}]


@pytest.fixture
def stack(aws: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    queue = aws.client("sqs").create_queue(QueueName="failures")["QueueUrl"]
    aws.client("logs").create_log_group(logGroupName="/x")
    resources = [
        ("AWS::S3::Bucket", "Bucket", "landing-bucket"),
        ("AWS::SQS::Queue", "FailuresQueue1A2B3C4D", queue),
        ("AWS::DynamoDB::Table", "Table", "registry"),
        ("AWS::Logs::LogGroup", "Group", "/x"),
        ("AWS::IAM::Role", "Role", "role"),
    ]
    formation, original = CloudFormation(resources), Platform.client
    monkeypatch.setattr(Platform, "client", lambda self, name: formation if name == "cloudformation" else original(self, name))
    monkeypatch.setattr(status, "api_part", lambda platform: Part("api", "rest api", platform.api_url, "ok", "answers /health"))
    return aws


def shown(runner: CliRunner) -> dict[str, dict[str, str]]:
    result = runner.invoke(app, ["status", "--stage", "dev", "--json"])
    return {part["name"]: part for part in json.loads(result.stdout)["parts"]}


def test_status_lists_every_part_of_this_stage_only(stack: Platform, runner: CliRunner) -> None:
    parts = shown(runner)
    assert set(parts) == {"driftless-dev-data", "rest api", "Bucket", "FailuresQueue", "Table", "Group"}
    assert {part["health"] for part in parts.values()} == {"ok"}
    text = runner.invoke(app, ["status", "--stage", "dev"])
    assert text.exit_code == 0
    assert "6 of 6 parts healthy" in text.stdout
    assert "1 IAM::Role" in text.stdout


def test_a_deployment_takes_as_long_as_the_last_events_of_its_stack_say(stack: Platform) -> None:
    assert deploy_seconds(stack, OURS) == 7.0


def test_a_message_in_a_failure_queue_asks_for_a_look(stack: Platform, runner: CliRunner) -> None:
    sqs = stack.client("sqs")
    sqs.send_message(QueueUrl=sqs.list_queues()["QueueUrls"][0], MessageBody="lost")
    queue = shown(runner)["FailuresQueue"]
    assert (queue["health"], queue["detail"]) == ("warn", "1 waiting, 0 in flight")


def judged(platform: Platform, kind: str, physical: str, **answers: Any) -> tuple[str, str]:
    """Health and detail of one resource whose service answers with these operations' results."""
    client = SimpleNamespace(**{name: lambda answer=answer, **_: answer for name, answer in answers.items()})
    part = CHECKS[kind][1](platform, client, Resource(OURS, kind, "Logical", physical))
    return part.health, part.detail


def test_a_topic_without_subscriptions_is_a_warning_except_locally(aws: Platform) -> None:
    kind, arn = "AWS::SNS::Topic", "arn:aws:sns:eu-west-1:1:topic"
    nobody, somebody = ({"Attributes": {"SubscriptionsConfirmed": count}} for count in ("0", "2"))
    assert judged(aws, kind, arn, get_topic_attributes=nobody) == ("warn", "0 subscriptions, so nobody receives notifications")
    assert judged(aws, kind, arn, get_topic_attributes=somebody) == ("ok", "2 subscriptions")
    assert judged(Platform("local", aws.session, None), kind, arn, get_topic_attributes=nobody)[0] == "ok"


def test_predictions_that_nothing_hands_over_are_ill(aws: Platform) -> None:
    aws.__dict__["parameters"] = aws.parameters | {"logs/inference": "/group"}
    kind, there = "AWS::Logs::SubscriptionFilter", {"subscriptionFilters": [{"filterName": "Journal"}]}
    assert judged(aws, kind, "Journal", describe_subscription_filters=there) == ("ok", "subscribed")
    assert judged(aws, kind, "Other", describe_subscription_filters=there) == ("bad", "does not exist")


@pytest.mark.parametrize(("state", "health"), [("Enabled", "ok"), ("Updating", "ok"), ("Disabled", "bad")])
def test_a_queue_that_nothing_reads_is_ill(aws: Platform, state: str, health: str) -> None:
    answer = {"State": state, "EventSourceArn": "arn:aws:sqs:eu-west-1:1:queue"}
    assert judged(aws, "AWS::Lambda::EventSourceMapping", "uuid", get_event_source_mapping=answer) == (health, state)


def test_an_alias_tells_what_it_leads_to(aws: Platform) -> None:
    arn, moving = "arn:aws:lambda:eu-west-1:1:function:f:live", {"AdditionalVersionWeights": {"8": 0.1}}
    alone = judged(aws, "AWS::Lambda::Alias", arn, get_alias={"FunctionVersion": "7"})
    both = judged(aws, "AWS::Lambda::Alias", arn, get_alias={"FunctionVersion": "7", "RoutingConfig": moving})
    assert (alone, both) == (("ok", "version 7"), ("ok", "version 7, 10% to version 8"))


def test_places_are_short_and_whole_where_asked_for(stack: Platform, runner: CliRunner) -> None:
    assert status.place("arn:aws:lambda:eu-west-1:1:function:f") == "function:f"
    assert status.place("s3://bucket") == "s3://bucket"
    assert status.place("s3://" + "a" * 50 + "end") == "s3://" + "a" * 7 + "…" + "a" * 20 + "end"
    short, whole = (runner.invoke(app, ["status", "--stage", "dev", *more]).stdout for more in ([], ["--full"]))
    assert "table/registry" in short and "arn:aws:dynamodb" not in short
    assert "arn:aws:dynamodb" in whole


def test_a_queue_that_is_retried_is_no_warning(aws: Platform) -> None:
    facts = {"QueueArn": "arn:aws:sqs:eu-west-1:1:q", "ApproximateNumberOfMessages": "2", "RedrivePolicy": "{}"}
    assert judged(aws, "AWS::SQS::Queue", "url", get_queue_attributes={"Attributes": facts}) == (
        "ok",
        "2 waiting, 0 in flight, retried",
    )


def test_a_stage_half_deployed_is_shown_all_the_same(stack: Platform, runner: CliRunner) -> None:
    stack.client("cloudformation").resources.append(("AWS::Logs::SubscriptionFilter", "Journal", "Journal"))
    part = shown(runner)["Journal"]
    assert part["health"] == "bad" and "parameter logs/inference is missing" in part["detail"]


def test_a_deleted_part_makes_status_fail(stack: Platform, runner: CliRunner) -> None:
    stack.client("s3").delete_bucket(Bucket="landing-bucket")
    result = runner.invoke(app, ["status", "--stage", "dev"])
    assert result.exit_code == 1
    assert "1 of 6 parts are unhealthy: bucket Bucket: HeadBucket: 404" in result.stderr
    said = " ".join(result.stderr.split())
    assert "run `npx cdk deploy --all -c stage=dev -c commit=$(git rev-parse HEAD) -c alarm_email=" in said
    document = json.loads(runner.invoke(app, ["status", "--stage", "dev", "--json"]).stdout)
    assert "1 of 6 parts are unhealthy" in document["error"]["cause"]
    assert [part["name"] for part in document["parts"] if part["health"] == "bad"] == ["Bucket"]


@pytest.mark.parametrize(
    ("text", "wanted"), [("30s", timedelta(seconds=30)), ("2h", timedelta(hours=2)), ("1d", timedelta(days=1))]
)
def test_spans(text: str, wanted: timedelta) -> None:
    assert logs.span(text) == wanted


def test_a_wrong_span_is_refused() -> None:
    with pytest.raises(Failure, match="not a duration"):
        logs.span("soon")


def test_powertools_lines_are_shortened_and_others_left() -> None:
    line = json.dumps({"level": "ERROR", "message": "stage failed", "exception_name": "NotEnoughData"})
    assert logs.readable(line) == ("ERROR", "ERROR NotEnoughData stage failed")
    assert logs.readable("START RequestId: 1") == ("", "START RequestId: 1")
    assert logs.readable("[1, 2]") == ("", "[1, 2]")


@pytest.mark.parametrize("text", ["999999d", "99999999999999999999s"])
def test_a_span_beyond_all_logs_is_refused(text: str) -> None:
    with pytest.raises(Failure, match="longer than"):
        logs.span(text)


def test_log_events_are_read_once_in_order_and_when_late(aws: Platform) -> None:
    client, now = aws.client("logs"), int(time.time() * 1000)
    client.create_log_group(logGroupName="/f")
    client.create_log_stream(logGroupName="/f", logStreamName="s")

    def put(**events: int) -> None:
        told = [{"timestamp": when, "message": name} for name, when in events.items()]
        client.put_log_events(logGroupName="/f", logStreamName="s", logEvents=told)

    def read() -> list[str]:
        return [line["message"] for line in logs.read(aws, {"inference": "/f", "labels": "/missing"}, position, seen)]

    position = {"/f": now - 600_000, "/missing": now - 600_000}
    seen: dict[tuple[str, str], int] = {}
    put(ancient=now - 500_000, first=now - 20_000, second=now - 1000)
    assert read() == ["ancient", "first", "second"]
    put(late=now - 10_000, third=now)
    assert read() == ["late", "third"]
    assert read() == []
    assert sorted(seen.values()) == [now - 20_000, now - 10_000, now - 1000, now], "what cannot be met again is forgotten"


def test_an_unknown_function_is_named_beside_the_known(aws: Platform) -> None:
    aws.session.client("ssm").put_parameter(Name="/driftless/dev/functions/labels", Value="arn", Type="String")
    with pytest.raises(Failure, match="no function 'nope'") as caught:
        logs.log_groups(aws, "nope")
    assert "labels" in caught.value.next_step


SIGNAL = {"name": "harm", "level": 2, "statistic": "log_loss", "value": 0.06, "threshold": 0.02, "reason": "worse beyond doubt"}
RECORD = {
    "project": "flights",
    "version": 2,
    "window_start": "2013-06-01T00:00:00Z",
    "window_end": "2013-07-01T00:00:00Z",
    "predictions": 8000,
    "labels": 7000,
    "drift_level": 1,
    "harm_level": 2,
    "metrics": {"log_loss": 0.56},
    "reference_metrics": {"log_loss": 0.5},
    "signals": [SIGNAL],
    "report": None,
}


def test_monitor_run_passes_the_window_and_shows_what_was_found(aws: Platform, states: StepFunctions, runner: CliRunner) -> None:
    states.outcomes = [{"status": "SUCCEEDED", "output": json.dumps({"monitoring": RECORD})} for _ in range(2)]
    command = ["monitor", "run", "flights", "--stage", "dev", "--window-end", "2013-07-01"]
    text = runner.invoke(app, command).stdout
    assert "harm alert" in text
    assert "worse beyond doubt" in text
    assert json.loads(runner.invoke(app, [*command, "--json"]).stdout)["harm_level"] == 2
    (first, _) = states.executions.values()
    assert json.loads(first["input"]) == {"project": "flights", "window_end": "2013-07-01T00:00:00+00:00"}


def test_a_wrong_window_end_is_refused_before_anything_starts(aws: Platform, states: StepFunctions, runner: CliRunner) -> None:
    result = runner.invoke(app, ["monitor", "run", "flights", "--stage", "dev", "--window-end", "yesterday"])
    assert (result.exit_code, states.started) == (1, [])
