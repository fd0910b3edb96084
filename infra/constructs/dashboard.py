"""One page for a stage: for each project levels, quality, traffic; below, whether work is stuck."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigw
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.constructs.drift import ALERT_LEVEL, SIGNALS, DriftAlarms
from infra.constructs.function import StageFunction


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
        api: apigw.RestApi,
        functions: Sequence[StageFunction],
    ) -> None:
        super().__init__(scope, identifier)
        rows: list[list[cloudwatch.IWidget]] = []
        for project in alarms:
            rows.append([cloudwatch.TextWidget(markdown=f"# {project.project}", width=24, height=1)])
            rows.append([self._levels(project), self._quality(project, metrics), *self._traffic(project, api)])
        rows.append([self._errors(functions)])
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

    def _traffic(self, project: DriftAlarms, api: apigw.RestApi) -> list[cloudwatch.IWidget]:
        dimensions = {
            "ApiName": api.rest_api_name,
            "Stage": api.deployment_stage.stage_name,
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

    def _errors(self, functions: Sequence[StageFunction]) -> cloudwatch.GraphWidget:
        return cloudwatch.GraphWidget(
            title="Errors of functions",
            width=24,
            left=[function.live.metric_errors(period=Duration.minutes(5), label=function.spec.folder) for function in functions],
        )
