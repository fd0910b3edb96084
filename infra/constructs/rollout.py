"""A canary for new function code: a tenth of the traffic for five minutes, rolled back when the new version fails.

This guards the code that serves; which model serves is data, and moves by its own canary in the registry. The alarms look at
the new version alone: an outage of the old one must not stop the deployment that ends it, and one error among many requests is
no reason to go back.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.failure import MINUTE, alarm_from, counted

FEWEST = 3
"""Failures of one minute that are no accident."""
PERCENT = 5
"""Share of a version's invocations that may fail."""


class CodeRollout(Construct):
    """CodeDeploy moves the alias ``live`` to a new version step by step.

    ``folder`` is the function's. ``reports`` names metrics by stage and code version that count what the function survives but
    should not meet.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        *,
        live: lambda_.Alias,
        folder: str,
        stage: str,
        topic: sns.ITopic,
        reports: Sequence[str] = (),
    ) -> None:
        super().__init__(scope, identifier)
        self._live, self._folder, self._topic = live, folder, topic
        function = live.lambda_.function_arn
        alarms = [self._failing()]
        if reports:
            alarms.append(self._reporting(stage, reports))
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com"),
            inline_policies={
                "Rollout": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=["lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetProvisionedConcurrencyConfig"],
                            # The alias by its name: it waits for this role, so it cannot be referred to from here.
                            resources=[function, f"{function}:{live.alias_name}"],
                        ),
                        iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=["*"]),
                    ]
                )
            },
        )
        application = codedeploy.LambdaApplication(self, "Application")
        codedeploy.LambdaDeploymentGroup(
            self,
            "Group",
            application=application,
            alias=live,
            alarms=alarms,
            role=role.without_policy_updates(),
            deployment_config=codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES,
            auto_rollback=codedeploy.AutoRollbackConfig(failed_deployment=True, deployment_in_alarm=True),
        )

    def _failing(self) -> cloudwatch.Alarm:
        function = self._live.lambda_.function_name
        dimensions = {
            "FunctionName": function,
            "Resource": f"{function}:{self._live.alias_name}",
            "ExecutedVersion": self._live.version.version,
        }

        def metric(name: str) -> cloudwatch.Metric:
            return cloudwatch.Metric(
                namespace="AWS/Lambda", metric_name=name, dimensions_map=dimensions, statistic="Sum", period=MINUTE
            )

        share = cloudwatch.MathExpression(
            expression=f"IF(errors >= {FEWEST}, 100 * errors / invocations, 0)",
            using_metrics={"errors": metric("Errors"), "invocations": metric("Invocations")},
            period=MINUTE,
        )
        return self._alarm("Errors", share, PERCENT, f"At least {FEWEST} and {PERCENT} % of the new version's invocations failed")

    def _reporting(self, stage: str, reports: Sequence[str]) -> cloudwatch.Alarm:
        dimensions = {"Stage": stage, "CodeVersion": self._live.version.version}
        metrics = {f"m{index}": counted(name, dimensions) for index, name in enumerate(reports)}
        total = cloudwatch.MathExpression(
            expression=" + ".join(f"FILL({name}, 0)" for name in metrics), using_metrics=metrics, period=MINUTE
        )
        return self._alarm("Reports", total, FEWEST, f"The new version reported {' or '.join(reports)}")

    def _alarm(self, kind: str, metric: cloudwatch.IMetric, threshold: float, description: str) -> cloudwatch.Alarm:
        # A version has alarms of its own: what its predecessor did would otherwise be held against it when it starts.
        name = f"{Stack.of(self).stack_name}-{self._folder}-{kind.lower()}-{self._live.version.version}"
        return alarm_from(self, kind, metric, self._topic, threshold=threshold, description=description, name=name)
