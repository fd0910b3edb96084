"""How a deployed part is found: one SSM parameter each, under ``/driftless/<stage>/``.

Physical names are CloudFormation's, so nothing outside may guess them; people, the command line and tests read these.
"""

from __future__ import annotations

from aws_cdk import Fn, RemovalPolicy, Stack
from aws_cdk import aws_logs as logs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from driftless.core.layout.parameters import parameter_name
from infra.settings import Settings

_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    7: logs.RetentionDays.ONE_WEEK,
    30: logs.RetentionDays.ONE_MONTH,
    365: logs.RetentionDays.ONE_YEAR,
}


def publish_parameter(scope: Construct, settings: Settings, name: str, value: str) -> ssm.StringParameter:
    """Publish a value as ``/driftless/<stage>/<name>``."""
    identifier = "Parameter" + "".join(part.title() for part in name.replace("/", "-").replace("_", "-").split("-"))
    return ssm.StringParameter(scope, identifier, parameter_name=parameter_name(settings.stage, name), string_value=value)


def removal_policy(settings: Settings) -> RemovalPolicy:
    """What happens to data when its stack is deleted; what a failed first deployment made leaves with it, being empty."""
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if settings.retain_data else RemovalPolicy.DESTROY


def log_group(scope: Construct, identifier: str, settings: Settings, *, name: str | None = None) -> logs.LogGroup:
    """A log group that keeps its lines for the stage's time and leaves with its stack unless data is retained."""
    retention = _RETENTION[settings.log_retention_days]
    return logs.LogGroup(scope, identifier, log_group_name=name, retention=retention, removal_policy=removal_policy(settings))


def vended_log_group(scope: Construct, identifier: str, settings: Settings, *, service: str) -> logs.LogGroup:
    """A log group that a service of AWS writes into.

    Below ``/aws/vendedlogs/`` services share one permission; each group elsewhere makes the account's resource policy for log
    delivery longer, until it is full and a deployment fails. The stack's own id keeps the name apart from a group that an earlier
    stack of this name retained.
    """
    stack = Stack.of(scope)
    unique = Fn.select(2, Fn.split("/", stack.stack_id))
    return log_group(scope, identifier, settings, name=f"/aws/vendedlogs/{service}/{stack.stack_name}-{scope.node.id}-{unique}")
