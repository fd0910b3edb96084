"""A state machine from its ASL file.

The file names what it needs as ``${Placeholders}``; the construct fills them in and grants exactly what it filled in, so
a machine can call what its file names and nothing else. A placeholder without a target, or a target without a
placeholder, is an error at synth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from driftless.core.layout.parameters import machine_parameter
from infra.constructs.failure import MINUTE, alarm_on_any
from infra.constructs.function import StageFunction
from infra.constructs.naming import publish_parameter, vended_log_group
from infra.constructs.permissions import Statements, publish
from infra.settings import Settings

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


class UnmatchedPlaceholders(ValueError):
    """An ASL file and its substitutions disagree."""


@dataclass(frozen=True)
class Target:
    """Something a state machine may use: its ARN and the statements that allow it."""

    arn: str
    statements: Statements


def invoke(function: StageFunction) -> Target:
    """A function's alias ``live`` as a target."""
    return Target(function.live.function_arn, function.invocation())


def notify(topic: sns.ITopic, key: kms.IKey) -> Target:
    """The notifications topic as a target."""
    return Target(topic.topic_arn, publish(topic, key))


def placeholders(definition: str) -> set[str]:
    """Names of the ``${Placeholders}`` of an ASL text."""
    return set(_PLACEHOLDER.findall(definition))


class Workflow(Construct):
    """A standard state machine with its role, logs, tracing, and alarms on executions that fail, time out or are stopped.

    Attributes
    ----------
    machine : sfn.StateMachine
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        *,
        definition: Path,
        targets: Mapping[str, Target],
        settings: Settings,
        alarm_topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, identifier)
        text = definition.read_text(encoding="utf-8")
        if placeholders(text) != set(targets):
            unfilled, unused = sorted(placeholders(text) - set(targets)), sorted(set(targets) - placeholders(text))
            raise UnmatchedPlaceholders(f"{definition.name}: placeholders without target {unfilled}, targets unused {unused}")
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            # Written compactly: CloudFormation counts the template's characters, people read the file.
            definition_body=sfn.DefinitionBody.from_string(json.dumps(json.loads(text), separators=(",", ":"))),
            definition_substitutions={name: target.arn for name, target in targets.items()},
            state_machine_type=sfn.StateMachineType.STANDARD,
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=vended_log_group(self, "Logs", settings, service="states"),
                level=sfn.LogLevel.ALL,
                include_execution_data=False,
            ),
        )
        for target in targets.values():
            for statement in target.statements:
                self.machine.add_to_role_policy(statement)
        # The machine's own messages say what failed; these alarms cover ends that no state catches, such as States.Runtime.
        failures = {
            "Failed": self.machine.metric_failed(period=MINUTE, statistic="Sum"),
            "TimedOut": self.machine.metric_timed_out(period=MINUTE, statistic="Sum"),
            "Aborted": self.machine.metric_aborted(period=MINUTE, statistic="Sum"),
        }
        short = definition.name.removesuffix(".asl.json")
        for name, metric in failures.items():
            ended = f"An execution of {short} ended as {name}: driftless pipelines list --machine {short}"
            alarm_on_any(self, f"{name}Alarm", metric, alarm_topic, description=ended)
        publish_parameter(self, settings, machine_parameter(short), self.machine.state_machine_arn)
