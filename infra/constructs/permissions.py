"""Statements of least privilege, written out.

CDK's ``grant_*`` methods add wildcards (``s3:GetObject*`` on the whole bucket); these name the actions and the prefixes. A
listing permission accompanies each read, so that a missing object is reported as missing and not as forbidden.
"""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm

Statements = list[iam.PolicyStatement]


def read_objects(bucket: s3.IBucket, *prefixes: str) -> Statements:
    """Read below the prefixes (each ends with ``/``; an empty one means the whole bucket), and list the bucket's keys.

    Listing has no prefix condition: a GET has no ``s3:prefix``, so with the condition S3 would return 403 instead of 404 for a
    missing key, and a step could not distinguish "not there yet" from "not allowed".
    """
    listing = iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket.bucket_arn])
    objects = [bucket.arn_for_objects(f"{prefix}*") for prefix in prefixes]
    return [iam.PolicyStatement(actions=["s3:GetObject", "s3:GetObjectVersion"], resources=objects), listing]


def write_objects(bucket: s3.IBucket, *prefixes: str) -> Statements:
    """Create or replace objects below the prefixes."""
    objects = [bucket.arn_for_objects(f"{prefix}*") for prefix in prefixes]
    return [iam.PolicyStatement(actions=["s3:PutObject", "s3:AbortMultipartUpload"], resources=objects)]


def use_table(table: dynamodb.ITable) -> Statements:
    """Read and write items, never delete one: the registry keeps every record."""
    actions = ["GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "ConditionCheckItem"]
    return [iam.PolicyStatement(actions=[f"dynamodb:{action}" for action in actions], resources=[table.table_arn])]


def sign(key: kms.IKey) -> Statements:
    """Sign with an asymmetric key and read its public half."""
    return [iam.PolicyStatement(actions=["kms:Sign", "kms:GetPublicKey"], resources=[key.key_arn])]


def publish(topic: sns.ITopic, key: kms.IKey) -> Statements:
    """Publish to a topic encrypted with a key of ours."""
    return [
        iam.PolicyStatement(actions=["sns:Publish"], resources=[topic.topic_arn]),
        iam.PolicyStatement(actions=["kms:GenerateDataKey", "kms:Decrypt"], resources=[key.key_arn]),
    ]


def send(queue: sqs.IQueue) -> Statements:
    """Send messages to one queue."""
    return [iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[queue.queue_arn])]


def receive(queue: sqs.IQueue) -> Statements:
    """Take messages from one queue."""
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    return [iam.PolicyStatement(actions=actions, resources=[queue.queue_arn])]


def read_parameter(parameter: ssm.IStringParameter) -> Statements:
    """Read one SSM parameter."""
    return [iam.PolicyStatement(actions=["ssm:GetParameter"], resources=[parameter.parameter_arn])]


def read_metrics() -> Statements:
    """Read CloudWatch metrics, which know no resources."""
    return [iam.PolicyStatement(actions=["cloudwatch:GetMetricData"], resources=["*"])]


def put_metrics(namespace: str) -> Statements:
    """Publish metrics into one namespace."""
    condition = {"StringEquals": {"cloudwatch:namespace": namespace}}
    return [iam.PolicyStatement(actions=["cloudwatch:PutMetricData"], resources=["*"], conditions=condition)]
