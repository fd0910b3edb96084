"""Composition of the governor, and what may wake it: an alarm, a schedule, or a request made by hand.

EventBridge delivers at least once. Powertools keeps two deliveries of one event from running at the same time and answers a
repeated one from its table; the registry, which forgets nothing, decides each event once for good.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.serialization.pydantic import PydanticSerializer
from pydantic import ValidationError

from driftless.adapters.aws import client
from driftless.adapters.dynamodb import DynamoRegistry
from driftless.adapters.stepfunctions import StepFunctionsWorkflow
from driftless.core.clock import utc_now
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Handler, Settings, instrument, once, read_settings
from driftless.errors import BadRequest
from driftless.monitoring.governor import Govern
from driftless.records import RetrainDecision, RetrainRequest

_ALARM = "CloudWatch Alarm State Change"


class GovernorSettings(Settings):
    """Environment of the function."""

    registry_table: str
    idempotency_table: str
    train_machine_arn: str


def compose() -> Callable[[RetrainRequest, Any], RetrainDecision]:
    """The governor over DynamoDB and Step Functions, run once per event; called with a request and Lambda's context."""
    settings = read_settings(GovernorSettings)
    govern = Govern(
        registry=DynamoRegistry(settings.registry_table, client=client("dynamodb")),
        workflow=StepFunctionsWorkflow(settings.train_machine_arn, client=client("stepfunctions")),
        projects=load_all(),
        clock=utc_now,
    )
    config = IdempotencyConfig()
    store = DynamoDBPersistenceLayer(settings.idempotency_table, boto3_client=client("dynamodb"))

    def ask(*, request: RetrainRequest) -> RetrainDecision:
        return govern(request)

    once: Callable[..., RetrainDecision] = idempotent_function(
        ask,
        data_keyword_argument="request",
        persistence_store=store,
        config=config,
        output_serializer=PydanticSerializer(model=RetrainDecision),
    )

    def decide(request: RetrainRequest, context: Any) -> RetrainDecision:
        config.register_lambda_context(context)
        return once(request=request)

    return decide


def governor_handler() -> Handler:
    """The handler: read the event, decide once, answer the decision."""
    decide = once(compose)

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        request = read_request(event, delivery=context.aws_request_id)
        return decide()(request, context).model_dump(mode="json")

    return instrument(handler)


def read_request(event: Mapping[str, Any], *, delivery: str) -> RetrainRequest:
    """What an event asks for.

    Parameters
    ----------
    event : mapping
        A CloudWatch alarm's state change whose description is JSON ``{"project", "signal"}``, or a request
        ``{"project", "reason"}`` with or without ``event_id``.
    delivery : str
        Names the event when it does not name itself; Lambda's own retries keep it.

    Raises
    ------
    BadRequest
        When it is neither.
    """
    asked = _of_alarm(event) if event.get("detail-type") == _ALARM else {"event_id": delivery, **event}
    try:
        return RetrainRequest.model_validate(asked)
    except ValidationError as error:
        raise BadRequest(f"no request for a retraining: {error}") from error


def _of_alarm(event: Mapping[str, Any]) -> dict[str, Any]:
    """The request behind an alarm: project and signal stand in its description."""
    detail = event.get("detail", {})
    state, text = detail.get("state", {}).get("value"), detail.get("configuration", {}).get("description", "")
    if state != "ALARM":
        raise BadRequest(f"alarm {detail.get('alarmName')} is in state {state}: only ALARM asks for a retraining")
    try:
        described = json.loads(text)
        asked = {"project": described["project"], "reason": described["signal"], "event_id": event.get("id")}
    except (json.JSONDecodeError, TypeError, KeyError) as error:
        raise BadRequest(f"alarm {detail.get('alarmName')} is described by {text!r}, not by a project and a signal") from error
    return asked | {"asked_by": f"alarm {detail.get('alarmName')}"}
