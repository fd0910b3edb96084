"""The pipeline stack: ingestion, and the train-and-deploy pipeline, with the functions they call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from driftless.core.layout.artifacts import MODELS, RUNS, SERVING, TRUST
from driftless.core.layout.lake import QUARANTINE, REPORTS, STAGING, TABLES
from driftless.core.layout.parameters import queue_parameter
from infra.constructs.function import Functions, StageFunction
from infra.constructs.layer import DependencyLayers
from infra.constructs.naming import publish_parameter
from infra.constructs.permissions import Statements, read_metrics, read_objects, read_parameter, sign, use_table, write_objects
from infra.constructs.queue import DeadLetterQueue
from infra.constructs.workflow import Workflow, invoke, notify
from infra.layers import Artifact
from infra.settings import Settings
from infra.stacks.data import DataStack


class PipelineStack(Stack):
    """Functions and machines that turn landed files into a registered, deployed model.

    Attributes
    ----------
    ingest, train : Workflow
    functions : dict[str, StageFunction]
        By folder.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        *,
        settings: Settings,
        data: DataStack,
        artifacts: Mapping[str, Artifact],
        lambdas: Path,
        workflows: Path,
    ) -> None:
        super().__init__(scope, identifier, termination_protection=settings.termination_protection)
        layers = DependencyLayers(self, artifacts=artifacts, settings=settings)
        self._factory = Functions(self, settings=settings, root=lambdas, layers=layers, topic=data.topic)
        self.functions: dict[str, StageFunction] = {}
        self._data_functions(data)
        self._model_functions(data)
        self._release_functions(data)
        steps = {folder.title(): invoke(function) for folder, function in self.functions.items()}
        message = {"Notifications": notify(data.topic, data.topic_key)}
        ingesting = ("Validation", "Ingestion")
        self.ingest = Workflow(
            self,
            "Ingest",
            definition=workflows / "ingest.asl.json",
            targets={name: steps[name] for name in ingesting} | message,
            settings=settings,
            alarm_topic=data.topic,
        )
        self.train = Workflow(
            self,
            "TrainAndDeploy",
            definition=workflows / "train_and_deploy.asl.json",
            targets={name: target for name, target in steps.items() if name not in ingesting} | message,
            settings=settings,
            alarm_topic=data.topic,
        )
        undelivered = DeadLetterQueue(self, "UndeliveredEvents", alarm_topic=data.topic)
        publish_parameter(self, settings, queue_parameter("pipeline-events"), undelivered.queue.queue_url)
        events.Rule(
            self,
            "FileLanded",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={"bucket": {"name": [data.buckets.landing.bucket_name]}},
            ),
            targets=[
                targets.SfnStateMachine(
                    self.ingest.machine, dead_letter_queue=undelivered.queue, max_event_age=Duration.hours(24), retry_attempts=185
                )
            ],
        )

    def _add(self, folder: str, environment: Mapping[str, str], statements: Statements) -> None:
        self.functions[folder] = self._factory.create(folder, environment=environment, statements=statements)

    def _data_functions(self, data: DataStack) -> None:
        """From a landed file to a training set."""
        buckets, registry = data.buckets, data.registry.table
        lake = {"LAKE_BUCKET": buckets.lake.bucket_name}
        self._add(
            "validation",
            {"LANDING_BUCKET": buckets.landing.bucket_name, **lake},
            read_objects(buckets.landing, "") + write_objects(buckets.lake, STAGING, QUARANTINE, REPORTS),
        )
        tables = read_objects(buckets.lake, TABLES, STAGING) + write_objects(buckets.lake, TABLES, STAGING)
        committing = tables + use_table(registry) + read_parameter(data.commit)
        self._add("ingestion", {**lake, "REGISTRY_TABLE": registry.table_name}, committing)
        self._add(
            "transform",
            {**lake, "ARTIFACTS_BUCKET": buckets.artifacts.bucket_name, "REGISTRY_TABLE": registry.table_name},
            read_objects(buckets.lake, TABLES)
            + write_objects(buckets.artifacts, RUNS)
            + use_table(registry)
            + read_parameter(data.commit),
        )

    def _model_functions(self, data: DataStack) -> None:
        """From a training set to a verdict over a challenger."""
        artifacts, registry = data.buckets.artifacts, data.registry.table
        bucket = {"ARTIFACTS_BUCKET": artifacts.bucket_name}
        runs = read_objects(artifacts, RUNS) + write_objects(artifacts, RUNS)
        self._add("tuning", bucket, runs)
        self._add("training", bucket, runs)
        scoring = read_objects(artifacts, RUNS, MODELS, TRUST, SERVING) + write_objects(artifacts, RUNS)
        self._add("scoring", bucket, scoring)
        self._add("evaluation", {**bucket, "REGISTRY_TABLE": registry.table_name}, runs + use_table(registry))

    def _release_functions(self, data: DataStack) -> None:
        """From a verdict to a champion."""
        artifacts, registry = data.buckets.artifacts, data.registry.table
        environment = {"ARTIFACTS_BUCKET": artifacts.bucket_name, "REGISTRY_TABLE": registry.table_name}
        self.functions["registration"] = self._factory.create(
            "registration",
            environment={**environment, "SIGNING_KEY_ID": data.signing_key.key_id},
            statements=read_objects(artifacts, RUNS, MODELS, TRUST)
            + write_objects(artifacts, MODELS, TRUST)
            + sign(data.signing_key)
            + use_table(registry),
            role=data.registration_role,
        )
        pointer = read_objects(artifacts, SERVING) + write_objects(artifacts, SERVING)
        self._add("deployment", environment, pointer + use_table(registry) + read_metrics())
