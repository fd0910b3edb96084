"""The monitoring of one project: two alarms and its part of the dashboard.

The library decides level and persistence in event time and publishes the level as a metric; the alarm only turns level 2 into
an event, which triggers the governor and notifies the people on the topic.
"""

from __future__ import annotations

import json

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from driftless.core.emf import NAMESPACE
from infra.settings import Settings

ALERT_LEVEL = 2
SIGNALS = ("harm", "drift")


class DriftAlarms(Construct):
    """Alarms on a project's harm and drift levels (0 ok, 1 warn, 2 alert).

    Attributes
    ----------
    alarms : dict[str, cloudwatch.Alarm]
        By signal.
    """

    def __init__(self, scope: Construct, identifier: str, *, project: str, settings: Settings, topic: sns.ITopic) -> None:
        super().__init__(scope, identifier)
        self.project = project
        self._stage = settings.stage
        self.alarms: dict[str, cloudwatch.Alarm] = {}
        for signal in SIGNALS:
            alarm = self.metric(f"{signal.title()}Level").create_alarm(
                self,
                f"{signal.title()}Alarm",
                threshold=ALERT_LEVEL,
                evaluation_periods=1,
                datapoints_to_alarm=1,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
                # The governor reads this; the event rule matches its beginning.
                alarm_description=json.dumps({"project": project, "signal": signal}),
            )
            alarm.add_alarm_action(actions.SnsAction(topic))
            self.alarms[signal] = alarm

    def metric(self, name: str, *, period: Duration | None = None) -> cloudwatch.Metric:
        """A metric of this project in the platform's namespace."""
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=name,
            dimensions_map={"Stage": self._stage, "Project": self.project},
            statistic="Maximum",
            period=period or Duration.minutes(1),
        )
