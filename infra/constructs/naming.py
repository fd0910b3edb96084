"""How a deployed part is found: one SSM parameter each, under ``/driftless/<stage>/``.

Physical names are CloudFormation's, so nothing outside may guess them; people, the command line and tests read these.
"""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.settings import Settings

METRICS_NAMESPACE = "Driftless"

_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    7: logs.RetentionDays.ONE_WEEK,
    30: logs.RetentionDays.ONE_MONTH,
    365: logs.RetentionDays.ONE_YEAR,
}


def publish_parameter(scope: Construct, settings: Settings, name: str, value: str) -> ssm.StringParameter:
    """Publish a value as ``/driftless/<stage>/<name>``."""
    identifier = "Parameter" + "".join(part.title() for part in name.replace("/", "-").replace("_", "-").split("-"))
    return ssm.StringParameter(scope, identifier, parameter_name=f"/driftless/{settings.stage}/{name}", string_value=value)


def removal_policy(settings: Settings) -> RemovalPolicy:
    """What happens to data when its stack is deleted."""
    return RemovalPolicy.RETAIN if settings.retain_data else RemovalPolicy.DESTROY


def log_group(scope: Construct, identifier: str, settings: Settings) -> logs.LogGroup:
    """A log group that keeps its lines for the stage's time and leaves with its stack unless data is retained."""
    retention = _RETENTION[settings.log_retention_days]
    return logs.LogGroup(scope, identifier, retention=retention, removal_policy=removal_policy(settings))
