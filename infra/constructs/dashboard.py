"""One page for a stage: for each project levels, quality, traffic; below, whether work is stuck.

It names the API as its settings do and looks for functions by the stage's name. A reference would be an export of their stack,
and CloudFormation takes back no export that is in use: no function could leave or be renamed.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from driftless.core.emf import NAMESPACE
from infra.constructs.api import api_dimensions
from infra.constructs.drift import ALERT_LEVEL, SIGNALS, DriftAlarms
from infra.settings import Settings


class Dashboard(Construct):
    """The stage's dashboard; one page for all projects, because CloudWatch bills by the page.

    ``metrics`` names a project's quality metrics.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        *,
        alarms: Sequence[DriftAlarms],
        metrics: Sequence[str],
        settings: Settings,
    ) -> None:
        super().__init__(scope, identifier)
        rows: list[list[cloudwatch.IWidget]] = []
        for project in alarms:
            rows.append([cloudwatch.TextWidget(markdown=f"# {project.project}", width=24, height=1)])
            rows.append([self._levels(project), self._quality(project, metrics), *self._traffic(project, settings)])
            rows.append([self._rows(project, settings), self._collection(project)])
        rows.append([self._errors(settings)])
        cloudwatch.Dashboard(self, "Dashboard", widgets=rows)

    def _levels(self, project: DriftAlarms) -> cloudwatch.GraphWidget:
        return cloudwatch.GraphWidget(
            title="Harm and drift level",
            width=6,
            left=[project.metric(f"{signal.title()}Level", period=Duration.minutes(5)) for signal in SIGNALS],
            left_y_axis=cloudwatch.YAxisProps(min=0, max=ALERT_LEVEL),
            left_annotations=[cloudwatch.HorizontalAnnotation(value=ALERT_LEVEL, label="alert")],
        )

    def _quality(self, project: DriftAlarms, names: Sequence[str]) -> cloudwatch.GraphWidget:
        hourly = Duration.hours(1)
        return cloudwatch.GraphWidget(
            title="Quality in the window, and at evaluation",
            width=6,
            left=[project.metric(name, period=hourly) for name in names],
        )

    def _rows(self, project: DriftAlarms, settings: Settings) -> cloudwatch.GraphWidget:
        """What became of landed files, as validation counts it."""
        dimensions = {"Stage": settings.stage, "Project": project.project, "service": "validation"}
        found = [
            cloudwatch.Metric(
                namespace=NAMESPACE,
                metric_name=name,
                dimensions_map=dimensions,
                statistic="Sum",
                period=Duration.hours(1),
            )
            for name in ("AcceptedRows", "QuarantinedRows", "RejectedFiles")
        ]
        return cloudwatch.GraphWidget(
            title="Rows accepted and quarantined, files rejected", width=12, left=found[:1], right=found[1:]
        )

    def _collection(self, project: DriftAlarms) -> cloudwatch.GraphWidget:
        answered = project.metric("Predictions", period=Duration.hours(1)).with_(statistic="Sum")
        missing = project.metric("UncollectedPredictions", period=Duration.hours(1))
        return cloudwatch.GraphWidget(title="Predictions served and not collected", width=12, left=[answered], right=[missing])

    def _traffic(self, project: DriftAlarms, settings: Settings) -> list[cloudwatch.IWidget]:
        dimensions = {
            **api_dimensions(settings),
            "Resource": f"/{project.project}/predictions",
            "Method": "POST",
        }

        def metric(name: str, statistic: str) -> cloudwatch.Metric:
            return cloudwatch.Metric(
                namespace="AWS/ApiGateway",
                metric_name=name,
                dimensions_map=dimensions,
                statistic=statistic,
                period=Duration.minutes(1),
                label=f"{name} {statistic}",
            )

        latency = cloudwatch.GraphWidget(
            title="Latency of predictions (ms)", width=6, left=[metric("Latency", "p50"), metric("Latency", "p99")]
        )
        errors = cloudwatch.GraphWidget(
            title="Requests and errors",
            width=6,
            left=[metric("Count", "SampleCount"), metric("4XXError", "Sum"), metric("5XXError", "Sum")],
        )
        return [latency, errors]

    def _errors(self, settings: Settings) -> cloudwatch.GraphWidget:
        # Generated names begin with the stack's, so these words are in the names of all functions of the stage.
        query = f'{{AWS/Lambda,FunctionName}} MetricName="Errors" FunctionName=(driftless {settings.stage})'
        found = cloudwatch.MathExpression(expression=f"SEARCH('{query}', 'Sum', 300)", using_metrics={}, label="")
        return cloudwatch.GraphWidget(title="Errors of functions", width=24, left=[found])
