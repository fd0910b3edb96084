"""The serving stack: the API, inference, labels, and the collector that turns the prediction log into Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from aws_cdk import aws_logs_destinations as log_destinations
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from driftless.core.layout.artifacts import MODELS, SERVING, TRUST
from driftless.core.layout.lake import LABELS, PREDICTIONS
from driftless.core.layout.parameters import INFERENCE_LOG, queue_parameter
from infra.constructs.api import ApiProject, InferenceApi, server_errors
from infra.constructs.failure import MINUTE, alarm_on_any, counted
from infra.constructs.function import Functions
from infra.constructs.layer import DependencyLayers
from infra.constructs.naming import publish_parameter
from infra.constructs.permissions import read_objects, receive, write_objects
from infra.constructs.queue import RetryQueue
from infra.functions import FUNCTIONS
from infra.layers import Artifact
from infra.settings import Settings
from infra.stacks.data import DataStack

LOADING_FAILURES = {
    "EndpointRefreshFailed": "Who serves could not be read",
    "ModelRefused": "A model could not be loaded or verified",
}
"""Failures that inference reports and continues after, with the models it has or with none."""
_FIREWALL_SECONDS = 300


class ServingStack(Stack):
    """The online half of the loop.

    Attributes
    ----------
    api : InferenceApi
    inference, labels, collector : StageFunction
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        *,
        settings: Settings,
        data: DataStack,
        artifacts: Mapping[str, Artifact],
        lambdas: Path,
        projects: Mapping[str, ApiProject],
    ) -> None:
        super().__init__(scope, identifier, termination_protection=settings.termination_protection)
        buckets = data.buckets
        layers = DependencyLayers(self, artifacts=artifacts, settings=settings)
        factory = Functions(self, settings=settings, root=lambdas, layers=layers, topic=data.topic)
        self.inference = factory.create(
            "inference",
            environment={"ARTIFACTS_BUCKET": buckets.artifacts.bucket_name},
            statements=read_objects(buckets.artifacts, SERVING, MODELS, TRUST),
            serves_requests=True,
            reports=tuple(LOADING_FAILURES),
        )
        self.labels = factory.create(
            "labels",
            environment={"LAKE_BUCKET": buckets.lake.bucket_name},
            statements=write_objects(buckets.lake, LABELS),
            serves_requests=True,
        )
        timeout = Duration.seconds(FUNCTIONS["collector"].timeout)
        failures = RetryQueue(self, "CollectorFailures", timeout=timeout, alarm_topic=data.topic)
        self.collector = factory.create(
            "collector",
            environment={"LAKE_BUCKET": buckets.lake.bucket_name},
            statements=write_objects(buckets.lake, PREDICTIONS) + receive(failures.queue),
            failures=failures,
        )
        failures.feed(self.collector.live)
        subscription = logs.SubscriptionFilter(
            self,
            "Journal",
            log_group=self.inference.log_group,
            destination=log_destinations.LambdaDestination(self.collector.live),
            filter_pattern=logs.FilterPattern.literal('{ $.kind = "prediction" }'),
        )
        self.api = InferenceApi(self, "Api", settings=settings, inference=self.inference, labels=self.labels, projects=projects)
        self._alarms(settings, sorted(projects), data)
        self._prediction_log_alarms(subscription, data)
        if settings.web_firewall:
            self._firewall(settings)
        publish_parameter(self, settings, INFERENCE_LOG, self.inference.log_group.log_group_name)
        publish_parameter(self, settings, queue_parameter("collector-failures"), failures.queue.queue_url)
        publish_parameter(self, settings, queue_parameter("collector-dead"), failures.dead.queue.queue_url)

    def _alarms(self, settings: Settings, projects: Sequence[str], data: DataStack) -> None:
        """Failures that functions handle, so that Lambda does not count them as errors."""
        alarm_on_any(
            self,
            "ServerErrors",
            server_errors(settings),
            data.topic,
            description="The API answered a request with an error of its own",
        )
        alarm_on_any(
            self,
            "UnreadableLines",
            counted("UnreadableLines", {"Stage": settings.stage}),
            data.topic,
            description="The collector set aside prediction log lines that it could not read",
        )
        for name in projects:
            scope = Construct(self, f"Project-{name}")
            for metric, what in {**LOADING_FAILURES, "PredictionErrors": "A model could not answer"}.items():
                alarm_on_any(
                    scope,
                    metric,
                    counted(metric, {"Stage": settings.stage, "Project": name}),
                    data.topic,
                    description=f"{what} for {name}",
                )

    def _prediction_log_alarms(self, subscription: logs.SubscriptionFilter, data: DataStack) -> None:
        """Alarms for log lines that are not delivered to the collector; lines it fails to store are in its queue."""
        dimensions = {
            "LogGroupName": self.inference.log_group.log_group_name,
            "DestinationType": "Lambda",
            "FilterName": cast(logs.CfnSubscriptionFilter, subscription.node.default_child).ref,
        }
        for name in ("DeliveryErrors", "DeliveryThrottling"):
            metric = cloudwatch.Metric(
                namespace="AWS/Logs", metric_name=name, dimensions_map=dimensions, statistic="Sum", period=MINUTE
            )
            alarm_on_any(self, name, metric, data.topic, description="Answered predictions do not reach the collector")

    def _firewall(self, settings: Settings) -> None:
        """AWS's common rules, and from one address no more than the API takes from all.

        A caller is a service behind one address, and may be the only one; what it may send is the API's own limit.
        """
        visibility = wafv2.CfnWebACL.VisibilityConfigProperty
        firewall = wafv2.CfnWebACL(
            self,
            "Firewall",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=visibility(
                cloud_watch_metrics_enabled=True, metric_name="driftless", sampled_requests_enabled=True
            ),
            rules=[
                wafv2.CfnWebACL.RuleProperty(
                    name="common",
                    priority=0,
                    override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
                    statement=wafv2.CfnWebACL.StatementProperty(
                        managed_rule_group_statement=wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(
                            vendor_name="AWS",
                            name="AWSManagedRulesCommonRuleSet",
                            # Batches of records are larger than the 8 KB that rule expects of forms.
                            rule_action_overrides=[
                                wafv2.CfnWebACL.RuleActionOverrideProperty(
                                    name="SizeRestrictions_BODY",
                                    action_to_use=wafv2.CfnWebACL.RuleActionProperty(count={}),
                                )
                            ],
                        )
                    ),
                    visibility_config=visibility(
                        cloud_watch_metrics_enabled=True, metric_name="common", sampled_requests_enabled=True
                    ),
                ),
                wafv2.CfnWebACL.RuleProperty(
                    name="rate",
                    priority=1,
                    action=wafv2.CfnWebACL.RuleActionProperty(block={}),
                    statement=wafv2.CfnWebACL.StatementProperty(
                        rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                            aggregate_key_type="IP",
                            evaluation_window_sec=_FIREWALL_SECONDS,
                            limit=int(settings.api_rate * _FIREWALL_SECONDS),
                        )
                    ),
                    visibility_config=visibility(
                        cloud_watch_metrics_enabled=True, metric_name="rate", sampled_requests_enabled=True
                    ),
                ),
            ],
        )
        wafv2.CfnWebACLAssociation(
            self,
            "FirewallAssociation",
            web_acl_arn=firewall.attr_arn,
            resource_arn=self.api.api.deployment_stage.stage_arn,
        )
