"""Send the result of an asynchronous invocation to its destinations and its dead-letter queue.

A destination gets the record that "Capturing records of Lambda asynchronous invocations" describes. A dead-letter queue
gets the original event as the message body and the reason as message attributes ("Adding a dead-letter queue"). The
functions here run in the account and region of the invoked function.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from local_cloud.mends.delivery.undelivered_events import Invocation
from local_cloud.mends.patching import core, service

logger = logging.getLogger("local_cloud.destinations")


def on_success(settings: dict[str, Any], invocation: Invocation, event: Any, result: dict[str, Any]) -> None:
    """Send the record of a successful invocation to the configured destination, if there is one."""
    destination = _destination(settings, "OnSuccess")
    if destination:
        _send(destination, invocation, _record(invocation, event, "Success", invocation.attempts + 1, result))


def on_failure(
    settings: dict[str, Any],
    dead_letter_arn: str,
    invocation: Invocation,
    event: Any,
    condition: str,
    result: dict[str, Any] | None,
) -> None:
    """Send a failed event to the on-failure destination and to the dead-letter queue, if they exist.

    Parameters
    ----------
    settings : dict
        The function's EventInvokeConfig; empty when it has none.
    dead_letter_arn : str
        Queue or topic of the function's DeadLetterConfig; empty when it has none.
    invocation : Invocation
        The failed invocation, with its number of attempts.
    event : Any
        The event as it was accepted.
    condition : str
        ``RetriesExhausted`` or ``EventAgeExceeded``.
    result : dict or None
        The last attempt's result; None when there was none.
    """
    destination = _destination(settings, "OnFailure")
    if destination:
        _send(destination, invocation, _record(invocation, event, condition, invocation.attempts, result))
    if dead_letter_arn:
        _send_dead_letter(dead_letter_arn, event, result)
    if not destination and not dead_letter_arn:
        logger.warning("asynchronous event for %s dropped: %s", invocation.function_arn, condition)


def _destination(settings: dict[str, Any], outcome: str) -> str:
    return str(((settings.get("DestinationConfig") or {}).get(outcome) or {}).get("Destination") or "")


def _payload(result: dict[str, Any]) -> Any:
    """Return the handler's response as a JSON value; the executor returns bytes, text or a value."""
    body = result.get("body")
    if isinstance(body, (bytes, bytearray)):
        body = body.decode("utf-8", errors="replace")
    if isinstance(body, str):
        try:
            return json.loads(body)
        except ValueError:
            return body
    return body


def _record(invocation: Invocation, event: Any, condition: str, count: int, result: dict[str, Any] | None) -> dict[str, Any]:
    """Build the record of one invocation for a destination."""
    arn = invocation.function_arn
    qualified = arn if arn.count(":") > 6 else f"{arn}:$LATEST"
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": qualified,
            "condition": condition,
            "approximateInvokeCount": count,
        },
        "requestPayload": event,
    }
    if result is not None:
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": qualified.rsplit(":", 1)[1]}
        if result.get("error"):
            context["functionError"] = result.get("function_error") or "Unhandled"
        record["responseContext"] = context
        record["responsePayload"] = _payload(result)
    return record


def _send(destination: str, invocation: Invocation, record: dict[str, Any]) -> None:
    service_name = destination.split(":")[2]
    text = json.dumps(record)
    if service_name == "sqs":
        send_to_queue(destination, text, {})
    elif service_name == "sns":
        service("sns")._fanout(destination, str(uuid.uuid4()), text, "", "", {})
    elif service_name == "lambda":
        service("lambda_svc").invoke_async_with_retry({"config": {"FunctionArn": destination}}, record)
    elif service_name == "events":
        outcome = "Success" if record["requestContext"]["condition"] == "Success" else "Failure"
        service("eventbridge")._put_events(
            {
                "Entries": [
                    {
                        "Source": "lambda",
                        "DetailType": f"Lambda Function Invocation Result - {outcome}",
                        "Resources": [record["requestContext"]["functionArn"], destination],
                        "Detail": text,
                        "EventBusName": destination.split("event-bus/")[-1],
                    }
                ]
            }
        )
    else:
        logger.error("destination %s of %s is not emulated; record: %s", destination, invocation.function_arn, text)


def _send_dead_letter(arn: str, event: Any, result: dict[str, Any] | None) -> None:
    response = _payload(result) if result is not None else None
    message = str(response.get("errorMessage", "")) if isinstance(response, dict) else ""
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": str(uuid.uuid4())},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": message[:1024] or "Unhandled"},
    }
    if arn.split(":")[2] == "sqs":
        send_to_queue(arn, json.dumps(event), attributes)
    else:
        service("sns")._fanout(arn, str(uuid.uuid4()), json.dumps(event), "", "", attributes)


def send_to_queue(arn: str, body: str, attributes: dict[str, Any]) -> None:
    """Put a message with attributes on a queue; if the queue does not exist, log the message as an error."""
    queues = service("sqs")
    queue = queues._queue_by_arn(arn)
    if queue is None:
        logger.error("queue %s does not exist; undeliverable event: %s", arn, body)
        return
    now = time.time()
    message = {
        "id": str(uuid.uuid4()),
        "body": body,
        "message_attributes": attributes,
        "md5_attrs": queues._md5_msg_attrs(attributes),
        "receipt_handle": None,
        "sent_at": now,
        "visible_at": now + queues.queue_delay(queue),
        "receive_count": 0,
    }
    queues._ensure_msg_fields(message)
    queue["messages"].append(message)
    core("concurrency").esm_wake.set()
