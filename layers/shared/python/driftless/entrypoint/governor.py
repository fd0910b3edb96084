"""Composition of the governor, and the events it handles: an alarm, a schedule, or a request made by hand.

EventBridge delivers at least once, and two deliveries of one event may run at the same time: the registry keeps one decision
per event, and Step Functions starts one execution per name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from driftless.adapters.aws import client
from driftless.adapters.dynamodb import DynamoRegistry
from driftless.adapters.stepfunctions import StepFunctionsWorkflow
from driftless.core.clock import utc_now
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Handler, Settings, instrument, once, read_settings
from driftless.errors import BadRequest
from driftless.monitoring.governor import Govern
from driftless.records import RetrainRequest

_ALARM = "CloudWatch Alarm State Change"


class GovernorSettings(Settings):
    """Environment of the function."""

    registry_table: str
    train_machine_arn: str


def compose() -> Govern:
    """The governor over DynamoDB and Step Functions."""
    settings = read_settings(GovernorSettings)
    return Govern(
        registry=DynamoRegistry(settings.registry_table, client=client("dynamodb")),
        workflow=StepFunctionsWorkflow(settings.train_machine_arn, client=client("stepfunctions")),
        projects=load_all(),
        clock=utc_now,
    )


def governor_handler() -> Handler:
    """The handler: read the event, decide, return the decision."""
    composed = once(compose)

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        request = read_request(event, delivery=context.aws_request_id)
        return composed()(request).model_dump(mode="json")

    return instrument(handler)


def read_request(event: Mapping[str, Any], *, delivery: str) -> RetrainRequest:
    """The request that an event holds.

    Parameters
    ----------
    event : mapping
        A CloudWatch alarm's state change whose description is JSON ``{"project", "signal"}``, or a request
        ``{"project", "reason"}`` with or without ``event_id``.
    delivery : str
        The event's id when it has none of its own; Lambda's retries keep it.

    Raises
    ------
    BadRequest
        When it is neither.
    """
    found = _of_alarm(event) if event.get("detail-type") == _ALARM else {"event_id": delivery, **event}
    try:
        return RetrainRequest.model_validate(found)
    except ValidationError as error:
        raise BadRequest(f"the event is no request for a retraining: {error}") from error


def _of_alarm(event: Mapping[str, Any]) -> dict[str, Any]:
    """The request of an alarm, whose description names project and signal."""
    detail = event.get("detail", {})
    state, text = detail.get("state", {}).get("value"), detail.get("configuration", {}).get("description", "")
    if state != "ALARM":
        raise BadRequest(f"alarm {detail.get('alarmName')} is in state {state}: only ALARM triggers a retraining")
    try:
        described = json.loads(text)
        found = {"project": described["project"], "reason": described["signal"], "event_id": event.get("id")}
    except (json.JSONDecodeError, TypeError, KeyError) as error:
        raise BadRequest(
            f"alarm {detail.get('alarmName')} has the description {text!r}, expected JSON with project and signal"
        ) from error
    return found | {"asked_by": f"alarm {detail.get('alarmName')}"}
