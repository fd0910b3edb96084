"""A canary for new function code: a tenth of the traffic for five minutes, rolled back when the alarm sounds.

This guards the code that serves; which model serves is data, and moves by its own canary in the registry.
"""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct


class CodeRollout(Construct):
    """CodeDeploy moves the alias ``live`` to a new version step by step."""

    def __init__(self, scope: Construct, identifier: str, *, live: lambda_.Alias, alarm: cloudwatch.Alarm) -> None:
        super().__init__(scope, identifier)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com"),
            inline_policies={
                "Rollout": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=["lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetProvisionedConcurrencyConfig"],
                            resources=[live.lambda_.function_arn, live.function_arn],
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
            alarms=[alarm],
            role=role.without_policy_updates(),
            deployment_config=codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES,
            auto_rollback=codedeploy.AutoRollbackConfig(failed_deployment=True, deployment_in_alarm=True),
        )
