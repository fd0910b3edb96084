"""The REST API in front of inference and labels.

Each project has literal paths of its own, because a request model and a throttle belong to a method. The same routes with
``{project}`` serve the names of projects that are not deployed. Every method requires an IAM signature, except the pages that
describe the API in a stage that opens them. Errors of API Gateway itself have the functions' format: problem+json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigateway as apigw
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from driftless.core.layout.parameters import API_URL
from infra.constructs.failure import MINUTE
from infra.constructs.function import StageFunction
from infra.constructs.naming import log_group, publish_parameter
from infra.settings import Settings

_PROBLEM_HEADERS = {"Content-Type": "'application/problem+json'"}


@dataclass(frozen=True)
class ApiProject:
    """A project's settings in the API: its prediction request schema and its limits (requests per second)."""

    request_schema: Mapping[str, Any]
    rate_limit: float
    burst_limit: int


def api_name(settings: Settings) -> str:
    """Name of the stage's API, a dimension of its metrics."""
    return f"driftless-{settings.stage}"


def api_dimensions(settings: Settings) -> dict[str, str]:
    """Dimensions of the metrics of the stage's API."""
    return {"ApiName": api_name(settings), "Stage": settings.stage}


def server_errors(settings: Settings) -> cloudwatch.Metric:
    """Number of responses 5xx of the stage's API, including 503 when there is no model."""
    return cloudwatch.Metric(
        namespace="AWS/ApiGateway",
        metric_name="5XXError",
        dimensions_map=api_dimensions(settings),
        statistic="Sum",
        period=MINUTE,
    )


class InferenceApi(Construct):
    """An IAM-signed REST API with one request model per project.

    Attributes
    ----------
    api : apigw.RestApi
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        *,
        settings: Settings,
        inference: StageFunction,
        labels: StageFunction,
        projects: Mapping[str, ApiProject],
    ) -> None:
        super().__init__(scope, identifier)
        access_logs = log_group(self, "AccessLogs", settings)
        throttles = {
            # What a method does not repeat of the stage's settings is off for it.
            f"/{name}/predictions/POST": apigw.MethodDeploymentOptions(
                throttling_rate_limit=project.rate_limit,
                throttling_burst_limit=project.burst_limit,
                logging_level=apigw.MethodLoggingLevel.ERROR,
                metrics_enabled=True,
            )
            for name, project in projects.items()
        }
        self.api = apigw.RestApi(
            self,
            "Api",
            rest_api_name=api_name(settings),
            endpoint_types=[apigw.EndpointType.REGIONAL],
            cloud_watch_role=False,
            default_method_options=apigw.MethodOptions(authorization_type=apigw.AuthorizationType.IAM),
            deploy_options=apigw.StageOptions(
                stage_name=settings.stage,
                access_log_destination=apigw.LogGroupLogDestination(access_logs),
                access_log_format=apigw.AccessLogFormat.json_with_standard_fields(
                    caller=True,
                    http_method=True,
                    ip=True,
                    protocol=True,
                    request_time=True,
                    resource_path=True,
                    response_length=True,
                    status=True,
                    user=True,
                ),
                logging_level=apigw.MethodLoggingLevel.ERROR,
                metrics_enabled=True,
                tracing_enabled=True,
                throttling_rate_limit=settings.api_rate,
                throttling_burst_limit=settings.api_burst,
                method_options=throttles,
            ),
        )
        self.api.deployment_stage.node.add_dependency(self._logging_account(), self._execution_logs(settings))
        # Only the function validates requests: API Gateway's own response would name no field and may not be JSON. The models
        # stay for the documentation and the SDKs that API Gateway exports.
        self._to_inference = apigw.LambdaIntegration(inference.live, proxy=True, scope_permission_to_method=False)
        self._to_labels = apigw.LambdaIntegration(labels.live, proxy=True, scope_permission_to_method=False)
        pages = apigw.AuthorizationType.NONE if settings.open_pages else apigw.AuthorizationType.IAM
        for path in ("health", "openapi.json", "docs"):
            self.api.root.add_resource(path).add_method(
                "GET",
                self._to_inference,
                authorization_type=pages,
            )
        self._add_routes("{project}", None)
        for name, project in projects.items():
            self._add_routes(name, self._request_model(name, project))
        self._problems()
        publish_parameter(self, settings, API_URL, self.api.url)

    def _add_routes(self, project: str, model: apigw.IModel | None) -> None:
        resource = self.api.root.add_resource(project)
        resource.add_resource("predictions").add_method(
            "POST",
            self._to_inference,
            request_models={"application/json": model} if model else None,
        )
        resource.add_resource("labels").add_method("POST", self._to_labels)
        resource.add_resource("model").add_method("GET", self._to_inference)

    def _request_model(self, name: str, project: ApiProject) -> apigw.IModel:
        # A scope by the raw name: "x_1" and "x1" are two projects.
        scope = Construct(self, f"Project-{name}")
        model = apigw.CfnModel(
            scope,
            "Request",
            rest_api_id=self.api.rest_api_id,
            content_type="application/json",
            description=f"Prediction request of {name}",
            schema=dict(project.request_schema),
        )
        deployment = self.api.latest_deployment
        if deployment is not None:
            # A changed model reaches callers only through a new deployment.
            deployment.add_to_logical_id(json.dumps(project.request_schema, sort_keys=True))
            deployment.node.add_dependency(model)
        return apigw.Model.from_model_name(scope, "Model", model.ref)

    def _problems(self) -> None:
        """Format API Gateway's own error responses as problem+json."""
        general = '{"type": "about:blank", "title": $context.error.messageString, "instance": "$context.requestId"}'
        responses = (
            ("ClientError", apigw.ResponseType.DEFAULT_4_XX),
            ("ServerError", apigw.ResponseType.DEFAULT_5_XX),
        )
        for identifier, kind in responses:
            self.api.add_gateway_response(
                identifier,
                type=kind,
                response_headers=_PROBLEM_HEADERS,
                templates={"application/json": general},
            )

    def _execution_logs(self, settings: Settings) -> logs.LogGroup:
        """The group that API Gateway would otherwise make itself, kept for ever and left behind by the stage."""
        name = f"API-Gateway-Execution-Logs_{self.api.rest_api_id}/{settings.stage}"
        return log_group(self, "ExecutionLogs", settings, name=name)

    def _logging_account(self) -> apigw.CfnAccount:
        """Allow API Gateway to write logs.

        The permission is the account's in a region, and all its APIs share the last one given. So it outlives the stage: one that
        leaves must not take the logs of another, and any stage's role serves them all.
        """
        role = iam.Role(
            self,
            "LoggingRole",
            assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"),
            inline_policies={
                "Logs": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=[
                                "logs:CreateLogGroup",
                                "logs:CreateLogStream",
                                "logs:DescribeLogGroups",
                                "logs:DescribeLogStreams",
                                "logs:PutLogEvents",
                                "logs:GetLogEvents",
                                "logs:FilterLogEvents",
                            ],
                            resources=["*"],
                        )
                    ]
                )
            },
        )
        account = apigw.CfnAccount(self, "Account", cloud_watch_role_arn=role.role_arn)
        role.apply_removal_policy(RemovalPolicy.RETAIN)
        account.apply_removal_policy(RemovalPolicy.RETAIN)
        return account
