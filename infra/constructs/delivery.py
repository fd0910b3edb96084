"""Targets of EventBridge rules, with one permission for all rules of a stage.

CDK's own targets write a statement for each rule into the policies of the function and of the dead-letter queue. SQS allows a
policy 20 statements and Lambda 20 KB, so the tenth project could not be deployed. Here a statement names the stage's rules by
their common prefix.
"""

from __future__ import annotations

import jsii
from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.interfaces.aws_events import IRuleRef
from constructs import Construct

from infra.settings import Settings

_RETRIES = 185
"""EventBridge's default, written out: with backoff they last as long as the longest age of an event."""
_LONGEST = Duration.hours(24)


class Delivery(Construct):
    """Targets for a stage's rules; what cannot be delivered goes to ``undelivered``."""

    def __init__(self, scope: Construct, identifier: str, *, settings: Settings, undelivered: sqs.Queue) -> None:
        super().__init__(scope, identifier)
        self._undelivered = undelivered
        # Not the stack's whole name: CloudFormation shortens it in the names it generates.
        self._rules = Stack.of(self).format_arn(service="events", resource="rule", resource_name=f"driftless-{settings.stage}-*")
        undelivered.add_to_resource_policy(
            iam.PolicyStatement(
                sid="RulesOfThisStage",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[undelivered.queue_arn],
                conditions={"ArnLike": {"aws:SourceArn": self._rules}},
            )
        )

    def function(self, live: lambda_.Alias) -> Target:
        """The stage's rules may invoke a function; called once for each function."""
        live.add_permission("Rules", principal=iam.ServicePrincipal("events.amazonaws.com"), source_arn=self._rules)
        return Target(live.function_arn, self._undelivered)

    def machine(self, machine: sfn.StateMachine) -> Target:
        """The stage's rules may start a machine; called once."""
        role = iam.Role(self, "Starter", assumed_by=iam.ServicePrincipal("events.amazonaws.com"))
        role.add_to_policy(iam.PolicyStatement(actions=["states:StartExecution"], resources=[machine.state_machine_arn]))
        return Target(machine.state_machine_arn, self._undelivered, role)


class Target:
    """One target of events."""

    def __init__(self, arn: str, undelivered: sqs.Queue, role: iam.Role | None = None) -> None:
        self._arn, self._undelivered, self._role = arn, undelivered, role

    def told(self, event: events.RuleTargetInput | None = None) -> events.IRuleTarget:
        """The target of a rule, with ``event`` as its input instead of the matched event."""
        return _Bound(
            events.RuleTargetConfig(
                arn=self._arn,
                input=event,
                role=self._role,
                dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=self._undelivered.queue_arn),
                retry_policy=events.CfnRule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=_LONGEST.to_seconds(), maximum_retry_attempts=_RETRIES
                ),
            )
        )


@jsii.implements(events.IRuleTarget)
class _Bound:
    def __init__(self, config: events.RuleTargetConfig) -> None:
        self._config = config

    def bind(self, rule: IRuleRef, id: str | None = None) -> events.RuleTargetConfig:
        return self._config
