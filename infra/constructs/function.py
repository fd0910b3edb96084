"""One Lambda function of the platform, with everything that belongs to it.

Each has a role of its own holding only the statements it was given, a log group with an end, a version and the alias
``live`` that callers use, and an alarm on its errors. :class:`Functions` shares what a stack's functions have in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import Duration, Size
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_sns as sns
from constructs import Construct

from driftless.core.layout.parameters import function_parameter
from infra import sizes
from infra.constructs.failure import MINUTE, alarm_on_any
from infra.constructs.layer import DependencyLayers
from infra.constructs.naming import log_group, publish_parameter
from infra.constructs.permissions import Statements, send
from infra.constructs.queue import DeadLetterQueue, RetryQueue
from infra.constructs.rollout import CodeRollout
from infra.functions import FUNCTIONS, SMALLEST_DISK, FunctionSpec
from infra.settings import Settings

IGNORED = ["**/__pycache__", "__pycache__", "*.pyc", "**/*.pyc"]


class StageFunction(Construct):
    """A function, its role, its logs, its alias ``live`` and its error alarm.

    Attributes
    ----------
    function : lambda_.Function
    live : lambda_.Alias
        What everything else calls.
    role : iam.IRole
    log_group : logs.LogGroup
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        *,
        spec: FunctionSpec,
        settings: Settings,
        code: Path,
        layers: Sequence[lambda_.ILayerVersion],
        environment: Mapping[str, str],
        statements: Statements,
        role: iam.IRole | None = None,
        failures: DeadLetterQueue | RetryQueue | None = None,
        snap_start: bool = False,
    ) -> None:
        super().__init__(scope, identifier)
        self.spec = spec
        name = f"driftless-{settings.stage}-{spec.folder}" if settings.named_functions else None
        self.log_group = log_group(self, "Logs", settings, name=f"/aws/lambda/{name}" if name else None)
        self.role = role or iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        own = iam.PolicyStatement(actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[self.log_group.log_group_arn])
        traces = iam.PolicyStatement(actions=["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources=["*"])
        on_failure = send(failures.queue) if failures else []
        policy = iam.Policy(self, "Policy", statements=[own, traces, *statements, *on_failure], roles=[self.role])
        self.function = lambda_.Function(
            self,
            "Function",
            runtime=lambda_.Runtime(f"python{settings.python}", lambda_.RuntimeFamily.PYTHON, supports_snap_start=True),
            architecture=lambda_.Architecture.ARM_64 if settings.architecture == "arm64" else lambda_.Architecture.X86_64,
            function_name=name,
            handler="handler.handler",
            code=lambda_.Code.from_asset(str(code), exclude=IGNORED),
            layers=list(layers),
            memory_size=spec.memory,
            ephemeral_storage_size=Size.mebibytes(spec.disk) if spec.disk > SMALLEST_DISK else None,
            timeout=Duration.seconds(spec.timeout),
            environment={
                "STAGE": settings.stage,
                "POWERTOOLS_SERVICE_NAME": spec.folder,
                "POWERTOOLS_LOG_LEVEL": "INFO",
                "OMP_NUM_THREADS": str(spec.threads),
                **environment,
            },
            # The policy above is the whole truth: CDK must not add to it behind our back.
            role=_frozen(self.role),
            log_group=self.log_group,
            tracing=lambda_.Tracing.ACTIVE,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
        )
        self.function.node.add_dependency(policy)
        self.live = lambda_.Alias(
            self,
            "Live",
            alias_name="live",
            version=self.function.current_version,
            on_failure=destinations.SqsDestination(failures.queue) if failures else None,
            retry_attempts=2 if failures else None,
        )
        publish_parameter(self, settings, function_parameter(spec.folder), self.live.function_arn)

    def invocation(self) -> Statements:
        """What a caller needs to invoke the alias."""
        return [iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[self.live.function_arn])]

    def error_alarm(self, topic: sns.ITopic) -> cloudwatch.Alarm:
        """Alarm when an invocation of the alias failed within a minute."""
        errors = self.live.metric_errors(period=MINUTE, statistic="Sum")
        return alarm_on_any(self, "ErrorAlarm", errors, topic, description=f"Function {self.spec.folder} failed")


def _frozen(role: iam.IRole) -> iam.IRole:
    return role.without_policy_updates() if isinstance(role, iam.Role) else role


class Functions:
    """Makes the functions of one stack, which share layers, settings and the topic their alarms go to."""

    def __init__(self, scope: Construct, *, settings: Settings, root: Path, layers: DependencyLayers, topic: sns.ITopic) -> None:
        self._scope = scope
        self._settings = settings
        self._root = root
        self._layers = layers
        self._topic = topic

    def create(
        self,
        folder: str,
        *,
        environment: Mapping[str, str],
        statements: Statements,
        role: iam.IRole | None = None,
        failures: DeadLetterQueue | RetryQueue | None = None,
        serves_requests: bool = False,
        reports: Sequence[str] = (),
    ) -> StageFunction:
        """The function of a folder under ``lambdas/``.

        ``failures`` receives asynchronous events that failed thrice. ``serves_requests`` adds what a stage does for
        functions that clients wait for: SnapStart and a canary for new code, which goes back on ``reports`` as well.

        Raises
        ------
        infra.sizes.PackageTooLarge
            When the function and its layers exceed Lambda's limit.
        """
        spec = FUNCTIONS[folder]
        code = self._root / folder
        sizes.check(folder, sizes.folder_bytes(code), self._layers.weights(spec.layers))
        function = StageFunction(
            self._scope,
            folder.title(),
            spec=spec,
            settings=self._settings,
            code=code,
            layers=self._layers.versions(spec.layers),
            environment=environment,
            statements=statements,
            role=role,
            failures=failures,
            snap_start=serves_requests and self._settings.snap_start,
        )
        function.error_alarm(self._topic)
        if serves_requests and self._settings.code_canary:
            CodeRollout(
                function,
                "Rollout",
                live=function.live,
                folder=folder,
                stage=self._settings.stage,
                topic=self._topic,
                reports=reports,
            )
        return function
