"""Readers for CloudWatch alarms and dashboards, and for CloudWatch Logs."""

from __future__ import annotations

from local_cloud.fidelity.readers.responses import Clients, Properties, Reader, capitalised, dictionary


def alarm(clients: Clients, name: str, _: Properties) -> Properties:
    """Read a metric alarm."""
    return dict(clients("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0])


def dashboard(clients: Clients, name: str, _: Properties) -> Properties:
    """Read a dashboard."""
    return dict(clients("cloudwatch").get_dashboard(DashboardName=name))


def log_group(clients: Clients, name: str, _: Properties) -> Properties:
    """Read a log group."""
    (group,) = clients("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"][:1]
    return dictionary(capitalised(group))


def subscription_filter(clients: Clients, _: str, properties: Properties) -> Properties:
    """Read the log group's subscription filter that has the template's destination, if there is one."""
    group = properties["LogGroupName"]
    for found in clients("logs").describe_subscription_filters(logGroupName=group)["subscriptionFilters"]:
        if found["destinationArn"] == properties["DestinationArn"]:
            return dictionary(capitalised(found))
    return {}


READERS: dict[str, Reader] = {
    "AWS::CloudWatch::Alarm": alarm,
    "AWS::CloudWatch::Dashboard": dashboard,
    "AWS::Logs::LogGroup": log_group,
    "AWS::Logs::SubscriptionFilter": subscription_filter,
}
