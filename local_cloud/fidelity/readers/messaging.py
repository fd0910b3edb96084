"""Readers for SQS queues, SNS topics and EventBridge rules."""

from __future__ import annotations

from local_cloud.fidelity.readers.responses import Clients, Properties, Reader, document


def queue(clients: Clients, url: str, _: Properties) -> Properties:
    """Read a queue's attributes."""
    found: Properties = dict(clients("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])
    found["RedrivePolicy"] = document(found.get("RedrivePolicy"))
    return found


def queue_policy(clients: Clients, _: str, properties: Properties) -> Properties:
    """Read the policy of the template's first queue."""
    response = clients("sqs").get_queue_attributes(QueueUrl=properties["Queues"][0], AttributeNames=["Policy"])
    return {"Queues": properties["Queues"], "PolicyDocument": document(response.get("Attributes", {}).get("Policy"))}


def topic(clients: Clients, arn: str, _: Properties) -> Properties:
    """Read a topic's attributes."""
    return dict(clients("sns").get_topic_attributes(TopicArn=arn)["Attributes"])


def topic_policy(clients: Clients, _: str, properties: Properties) -> Properties:
    """Read the policy of the template's first topic."""
    attributes = clients("sns").get_topic_attributes(TopicArn=properties["Topics"][0])["Attributes"]
    return {"Topics": properties["Topics"], "PolicyDocument": document(attributes.get("Policy"))}


def topic_subscription(clients: Clients, arn: str, _: Properties) -> Properties:
    """Read a subscription's attributes."""
    return dict(clients("sns").get_subscription_attributes(SubscriptionArn=arn)["Attributes"])


def rule(clients: Clients, name: str, _: Properties) -> Properties:
    """Read a rule and its targets."""
    events = clients("events")
    short = name.rsplit("/", 1)[-1]
    found = dict(events.describe_rule(Name=short))
    found["EventPattern"] = document(found.get("EventPattern"))
    found["Targets"] = events.list_targets_by_rule(Rule=short)["Targets"]
    return found


READERS: dict[str, Reader] = {
    "AWS::Events::Rule": rule,
    "AWS::SNS::Subscription": topic_subscription,
    "AWS::SNS::Topic": topic,
    "AWS::SNS::TopicPolicy": topic_policy,
    "AWS::SQS::Queue": queue,
    "AWS::SQS::QueuePolicy": queue_policy,
}
