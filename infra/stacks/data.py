"""The data stack: buckets, tables, the signing key, the notifications topic.

Every other stack can be deleted and deployed again from this one and the commit. Registration's role lives here too,
because the key and the ``trust/`` folder are defined by who may use them.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from driftless.core.layout.parameters import COMMIT, NOTIFICATIONS, PROJECTS, SIGNING_KEY
from infra.constructs.naming import publish_parameter, removal_policy
from infra.constructs.storage import Lake, Registry
from infra.settings import Settings


class DataStack(Stack):
    """The stateful stack.

    Attributes
    ----------
    buckets : Lake
    registry : Registry
    registration_role : iam.Role
        The only principal that may sign models and write ``trust/``.
    signing_key, topic_key : kms.Key
    topic : sns.Topic
    commit : ssm.StringParameter
        The deployed git commit, which lineage records.
    """

    def __init__(self, scope: Construct, identifier: str, *, settings: Settings, projects: Sequence[str]) -> None:
        super().__init__(scope, identifier, termination_protection=settings.termination_protection)
        self.registration_role = iam.Role(
            self,
            "RegistrationRole",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="Signs model manifests and publishes the public key",
        )
        self.buckets = Lake(self, "Buckets", settings=settings, trust_writer=self.registration_role)
        self.registry = Registry(self, "Registry", settings=settings)
        self.signing_key = self._signing_key(settings)
        self.topic_key, self.topic = self._notifications(settings)
        if settings.monthly_budget is not None:
            self._budget(settings.monthly_budget, settings.stage)
        publish_parameter(self, settings, SIGNING_KEY, self.signing_key.key_id)
        publish_parameter(self, settings, NOTIFICATIONS, self.topic.topic_arn)
        self.commit = publish_parameter(self, settings, COMMIT, settings.commit)
        publish_parameter(self, settings, PROJECTS, ",".join(projects))

    def _signing_key(self, settings: Settings) -> kms.Key:
        key = kms.Key(
            self,
            "SigningKey",
            description="Signs the manifests of Driftless models",
            key_spec=kms.KeySpec.ECC_NIST_P256,
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            removal_policy=removal_policy(settings),
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="OnlyRegistrationSigns",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["kms:Sign"],
                resources=["*"],
                conditions={"ArnNotEquals": {"aws:PrincipalArn": self.registration_role.role_arn}},
            )
        )
        return key

    def _notifications(self, settings: Settings) -> tuple[kms.Key, sns.Topic]:
        """The topic with a key of its own: CloudWatch cannot publish to one under AWS's key for SNS."""
        key = kms.Key(
            self,
            "TopicKey",
            description="Encrypts Driftless notifications",
            enable_key_rotation=True,
            removal_policy=removal_policy(settings),
        )
        topic = sns.Topic(self, "Notifications", display_name="Driftless", master_key=key, enforce_ssl=True)
        services = [iam.ServicePrincipal("cloudwatch.amazonaws.com"), iam.ServicePrincipal("budgets.amazonaws.com")]
        own_account = {"StringEquals": {"aws:SourceAccount": self.account}}
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=list(services),
                actions=["kms:GenerateDataKey*", "kms:Decrypt"],
                resources=["*"],
                conditions=own_account,
            )
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=list(services), actions=["sns:Publish"], resources=[topic.topic_arn], conditions=own_account
            )
        )
        if settings.alarm_email:
            topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))
        return key, topic

    def _budget(self, monthly_dollars: float, stage: str) -> None:
        """Notify the topic at 80 % of the month's budget, and when the forecast exceeds it.

        Only what carries the stage's tag counts, which AWS knows once the tag is activated for cost allocation.
        """
        subscriber = budgets.CfnBudget.SubscriberProperty(address=self.topic.topic_arn, subscription_type="SNS")
        notices = [
            budgets.CfnBudget.NotificationWithSubscribersProperty(
                notification=budgets.CfnBudget.NotificationProperty(
                    comparison_operator="GREATER_THAN", notification_type=kind, threshold=threshold, threshold_type="PERCENTAGE"
                ),
                subscribers=[subscriber],
            )
            for kind, threshold in (("ACTUAL", 80), ("FORECASTED", 100))
        ]
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=monthly_dollars, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:stage${stage}"]},
            ),
            notifications_with_subscribers=notices,
        )
