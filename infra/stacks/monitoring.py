"""The monitoring stack: state machine, alarms, the governor that they trigger, schedules, dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from driftless.core.emf import NAMESPACE
from driftless.core.layout.artifacts import MODELS, RUNS, SERVING, TRUST
from driftless.core.layout.lake import LABELS, MONITORING, PREDICTIONS
from driftless.core.layout.parameters import queue_parameter
from driftless.definition.project import Project
from infra.constructs.dashboard import Dashboard
from infra.constructs.delivery import Delivery
from infra.constructs.drift import DriftAlarms
from infra.constructs.failure import alarm_from, counted
from infra.constructs.function import Functions, StageFunction
from infra.constructs.layer import DependencyLayers
from infra.constructs.naming import publish_parameter
from infra.constructs.permissions import put_metrics, read_metrics, read_objects, use_table, write_objects
from infra.constructs.queue import DeadLetterQueue
from infra.constructs.workflow import Workflow, invoke, notify
from infra.layers import Artifact
from infra.settings import Settings
from infra.stacks.data import DataStack
from infra.stacks.pipeline import PipelineStack

QUALITY_METRICS = ("PrimaryMetric", "PrimaryMetricReference")
"""A project's primary metric in the window and at its last evaluation, as monitoring publishes them."""


class MonitoringStack(Stack):
    """Monitoring and retraining: from predictions and labels to the next training run.

    Attributes
    ----------
    monitor : Workflow
    monitoring, governor : StageFunction
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        *,
        settings: Settings,
        data: DataStack,
        pipeline: PipelineStack,
        artifacts: Mapping[str, Artifact],
        lambdas: Path,
        workflows: Path,
        projects: Mapping[str, Project],
    ) -> None:
        super().__init__(scope, identifier, termination_protection=settings.termination_protection)
        layers = DependencyLayers(self, artifacts=artifacts, settings=settings)
        factory = Functions(self, settings=settings, root=lambdas, layers=layers, topic=data.topic)
        self._undelivered = DeadLetterQueue(self, "UndeliveredEvents", alarm_topic=data.topic)
        publish_parameter(self, settings, queue_parameter("monitoring-events"), self._undelivered.queue.queue_url)
        self.monitoring = self._monitoring(factory, data)
        self.governor = self._governor(factory, data, pipeline)
        self.monitor = Workflow(
            self,
            "Monitor",
            definition=workflows / "monitor.asl.json",
            targets={
                "Monitoring": invoke(self.monitoring),
                "Governor": invoke(self.governor),
                "Notifications": notify(data.topic, data.topic_key),
            },
            settings=settings,
            alarm_topic=data.topic,
        )
        delivery = Delivery(self, "Delivery", settings=settings, undelivered=self._undelivered.queue)
        self._to_governor, self._to_monitor = delivery.function(self.governor.live), delivery.machine(self.monitor.machine)
        self._trigger_governor_on_alarms()
        alarms = [self._project(project, settings, data) for project in projects.values()]
        Dashboard(
            self,
            "Overview",
            alarms=alarms,
            metrics=QUALITY_METRICS,
            settings=settings,
        )

    def _monitoring(self, factory: Functions, data: DataStack) -> StageFunction:
        buckets, registry = data.buckets, data.registry.table
        return factory.create(
            "monitoring",
            environment={
                "LAKE_BUCKET": buckets.lake.bucket_name,
                "ARTIFACTS_BUCKET": buckets.artifacts.bucket_name,
                "REGISTRY_TABLE": registry.table_name,
            },
            statements=read_objects(buckets.lake, PREDICTIONS, LABELS, MONITORING)
            + write_objects(buckets.lake, MONITORING)
            + read_objects(buckets.artifacts, RUNS, MODELS, SERVING, TRUST)
            + use_table(registry)
            + read_metrics()
            + put_metrics(NAMESPACE),
        )

    def _governor(self, factory: Functions, data: DataStack, pipeline: PipelineStack) -> StageFunction:
        registry, machine = data.registry.table, pipeline.train.machine
        return factory.create(
            "governor",
            environment={
                "REGISTRY_TABLE": registry.table_name,
                "TRAIN_MACHINE_ARN": machine.state_machine_arn,
            },
            statements=[
                *use_table(registry),
                iam.PolicyStatement(
                    actions=["states:StartExecution", "states:ListExecutions"], resources=[machine.state_machine_arn]
                ),
            ],
            failures=self._undelivered,
        )

    def _trigger_governor_on_alarms(self) -> None:
        """A rule for this stage's harm and drift alarms: this stack's name is the prefix, the description names a project."""
        events.Rule(
            self,
            "AlarmRaised",
            event_pattern=events.EventPattern(
                source=["aws.cloudwatch"],
                detail_type=["CloudWatch Alarm State Change"],
                detail={
                    "alarmName": events.Match.prefix(f"{self.stack_name}-"),
                    "configuration": {"description": events.Match.prefix('{"project"')},
                    "state": {"value": ["ALARM"]},
                },
            ),
            targets=[self._to_governor.told()],
        )

    def _project(self, project: Project, settings: Settings, data: DataStack) -> DriftAlarms:
        """Schedules and alarms of one project."""
        scope = Construct(self, f"Project-{project.name}")
        # EventBridge delivers at least once: the event's id makes two deliveries one request.
        request = events.RuleTargetInput.from_object(
            {
                "project": project.name,
                "reason": "schedule",
                "event_id": events.EventField.from_path("$.id"),
                "asked_by": "schedule",
            }
        )
        events.Rule(
            scope,
            "Retraining",
            schedule=events.Schedule.expression(project.retraining.schedule),
            targets=[self._to_governor.told(request)],
        )
        events.Rule(
            scope,
            "Monitoring",
            schedule=events.Schedule.expression(project.monitoring.schedule),
            targets=[self._to_monitor.told(events.RuleTargetInput.from_object({"project": project.name}))],
        )
        # Published once per window: between two windows the alarm keeps its state.
        alarm_from(
            scope,
            "UncollectedPredictions",
            counted("UncollectedPredictions", {"Stage": settings.stage, "Project": project.name}),
            data.topic,
            threshold=1,
            description=f"Predictions of {project.name} were answered and are not in the lake",
            missing=cloudwatch.TreatMissingData.IGNORE,
        )
        return DriftAlarms(scope, "Alarms", project=project.name, settings=settings, topic=data.topic)
