"""Buckets and tables: all persistent data of a stage."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from driftless.core.layout.artifacts import MODELS, RUNS, TRUST
from driftless.core.layout.lake import RECEIPTS, STAGING
from driftless.core.layout.parameters import REGISTRY_TABLE, bucket_parameter
from driftless.core.layout.tables import REGISTRY_PARTITION, REGISTRY_SORT
from infra.constructs.naming import publish_parameter, removal_policy
from infra.settings import Settings

_RECEIPT_DAYS = 7
"""Monitoring counts the receipts of a day; the others are for people who look into an alarm."""


def private_bucket(
    scope: Construct,
    identifier: str,
    settings: Settings,
    *,
    logs: s3.IBucket | None,
    expiry_days: dict[str, int],
) -> s3.Bucket:
    """A versioned, encrypted bucket that accepts only TLS; ``expiry_days`` maps prefixes to days."""
    rules = [
        s3.LifecycleRule(
            id=f"expire-{prefix.strip('/').replace('/', '-')}",
            prefix=prefix,
            expiration=Duration.days(days),
            noncurrent_version_expiration=Duration.days(days),
        )
        for prefix, days in expiry_days.items()
    ]
    rules.append(s3.LifecycleRule(id="abandoned-uploads", abort_incomplete_multipart_upload_after=Duration.days(1)))
    return s3.Bucket(
        scope,
        identifier,
        versioned=True,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        removal_policy=removal_policy(settings),
        lifecycle_rules=rules,
        server_access_logs_bucket=logs,
        server_access_logs_prefix=f"{identifier.lower()}/" if logs else None,
    )


class Lake(Construct):
    """The three buckets: files arrive in *landing*, tables live in the *lake*, models in *artifacts*.

    Only ``trust_writer`` may write below ``models/`` and ``trust/`` in artifacts, whatever other policies say: serving believes
    the public keys it finds there, and a version is never changed.

    Attributes
    ----------
    landing, lake, artifacts : s3.Bucket
    """

    def __init__(self, scope: Construct, identifier: str, *, settings: Settings, trust_writer: iam.IRole) -> None:
        super().__init__(scope, identifier)
        logs = None
        if settings.access_logs:
            logs = s3.Bucket(
                self,
                "AccessLogs",
                encryption=s3.BucketEncryption.S3_MANAGED,
                enforce_ssl=True,
                block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
                removal_policy=removal_policy(settings),
                lifecycle_rules=[s3.LifecycleRule(id="expire", expiration=Duration.days(settings.log_retention_days))],
            )
        self.landing = private_bucket(self, "Landing", settings, logs=logs, expiry_days={})
        lake_expiry = {STAGING: settings.staging_retention_days, RECEIPTS: _RECEIPT_DAYS}
        self.lake = private_bucket(self, "Lake", settings, logs=logs, expiry_days=lake_expiry)
        self.artifacts = private_bucket(self, "Artifacts", settings, logs=logs, expiry_days={RUNS: settings.run_retention_days})
        landing = self.landing.node.default_child
        if isinstance(landing, s3.CfnBucket):
            # The L2 property would add a custom resource.
            landing.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
                event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
            )
        self.artifacts.add_to_resource_policy(
            iam.PolicyStatement(
                sid="OnlyRegistrationWritesModels",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"],
                resources=[self.artifacts.arn_for_objects(f"{prefix}*") for prefix in (MODELS, TRUST)],
                conditions={"ArnNotEquals": {"aws:PrincipalArn": trust_writer.role_arn}},
            )
        )
        for name, bucket in (("landing", self.landing), ("lake", self.lake), ("artifacts", self.artifacts)):
            publish_parameter(self, settings, bucket_parameter(name), bucket.bucket_name)


class Registry(Construct):
    """The registry table: runs, versions, aliases, audit chain, reports and retraining decisions.

    Attributes
    ----------
    table : dynamodb.Table
    """

    def __init__(self, scope: Construct, identifier: str, *, settings: Settings) -> None:
        super().__init__(scope, identifier)
        text = dynamodb.AttributeType.STRING
        protected = settings.deletion_protection
        # Protected from deletion, a table could not leave with a failed first deployment either.
        kept = RemovalPolicy.RETAIN if protected else removal_policy(settings)
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name=REGISTRY_PARTITION, type=text),
            sort_key=dynamodb.Attribute(name=REGISTRY_SORT, type=text),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True),
            deletion_protection=protected,
            removal_policy=kept,
        )
        publish_parameter(self, settings, REGISTRY_TABLE, self.table.table_name)
