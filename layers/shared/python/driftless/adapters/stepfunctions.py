"""The Workflow port on Step Functions: executions of one state machine, started once per name."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from driftless.adapters.aws import error_code, translated


class StepFunctionsWorkflow:
    """One standard state machine.

    Parameters
    ----------
    machine_arn : str
        Its ARN.
    client : Step Functions client
        A boto3 client, normally ``driftless.adapters.aws.client("stepfunctions")``.
    """

    def __init__(self, machine_arn: str, *, client: Any) -> None:
        self.machine_arn = machine_arn
        self._client = client

    def start(self, name: str, payload: dict[str, Any]) -> str:
        with translated(f"start execution {name} of {self.machine_arn}"):
            try:
                response = self._client.start_execution(stateMachineArn=self.machine_arn, name=name, input=json.dumps(payload))
            except ClientError as error:
                if error_code(error) != "ExecutionAlreadyExists":
                    raise
                return self._execution_arn(name)
        return str(response["executionArn"])

    def running(self) -> list[str]:
        with translated(f"list executions of {self.machine_arn}"):
            pages = self._client.get_paginator("list_executions").paginate(
                stateMachineArn=self.machine_arn, statusFilter="RUNNING"
            )
            return [str(execution["name"]) for page in pages for execution in page["executions"]]

    def _execution_arn(self, name: str) -> str:
        return f"{self.machine_arn.replace(':stateMachine:', ':execution:', 1)}:{name}"
