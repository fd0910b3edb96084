"""Apply the template properties that the emulator's CloudFormation ignores, through the services' operations.

Restores the AWS documentation pages of the resource types: Describe and Get return what the template says. The
properties are bucket encryption, lifecycle and access logging (``AWS::S3::Bucket``); encryption, point-in-time recovery
and time to live (``AWS::DynamoDB::Table``); reserved concurrency and dead-letter queue (``AWS::Lambda::Function``);
logging and tracing (``AWS::StepFunctions::StateMachine``); the key of ``AWS::SNS::Topic``; and request validators
(``AWS::ApiGateway::*``). A property that a later template does not have is reset to its default. A table with deletion
protection cannot be deleted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from local_cloud.mends import rest_api_properties
from local_cloud.mends.patching import require, service

TARGETS = (
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS",
    "ministack.services.s3._put_bucket_lifecycle",
    "ministack.services.s3._delete_bucket_lifecycle",
    "ministack.services.s3._put_bucket_encryption",
    "ministack.services.s3._delete_bucket_encryption",
    "ministack.services.s3._put_bucket_logging",
    "ministack.services.dynamodb._update_table",
    "ministack.services.dynamodb._update_ttl",
    "ministack.services.dynamodb._describe_ttl",
    "ministack.services.dynamodb._update_continuous_backups",
    "ministack.services.lambda_svc._put_function_concurrency",
    "ministack.services.lambda_svc._delete_function_concurrency",
    "ministack.services.lambda_svc._functions",
    "ministack.services.stepfunctions._state_machines",
    "ministack.services.sns._topics",
    *rest_api_properties.TARGETS,
)

Properties = dict[str, Any]


class PropertyRejected(ValueError):
    """A service rejected a property of a template; the resource fails, as in AWS."""


def _checked(response: tuple[int, Any, Any], what: str) -> Any:
    """Return the body of a service's response, or raise its error."""
    status, _, body = response
    if status >= 400:
        text = body.decode() if isinstance(body, bytes) else str(body)
        raise PropertyRejected(f"{what}: {text}")
    return body


def _xml(tag: str, value: Any) -> str:
    """Return nested dictionaries and lists as the XML of an S3 request."""
    if isinstance(value, list):
        return "".join(_xml(tag, each) for each in value)
    if isinstance(value, dict):
        return f"<{tag}>{''.join(_xml(name, each) for name, each in value.items() if each is not None)}</{tag}>"
    if isinstance(value, bool):
        value = str(value).lower()
    return f"<{tag}>{escape(str(value))}</{tag}>"


def _bucket(name: str, properties: Properties) -> None:
    buckets = service("s3")
    rules = (properties.get("LifecycleConfiguration") or {}).get("Rules")
    if rules:
        body = _xml("LifecycleConfiguration", {"Rule": [_lifecycle_rule(rule) for rule in rules]})
        _checked(buckets._put_bucket_lifecycle(name, body.encode()), "LifecycleConfiguration")
    else:
        buckets._delete_bucket_lifecycle(name)
    encryption = (properties.get("BucketEncryption") or {}).get("ServerSideEncryptionConfiguration")
    if encryption:
        described = [
            {
                "ApplyServerSideEncryptionByDefault": rule.get("ServerSideEncryptionByDefault"),
                "BucketKeyEnabled": rule.get("BucketKeyEnabled"),
            }
            for rule in encryption
        ]
        body = _xml("ServerSideEncryptionConfiguration", {"Rule": described})
        _checked(buckets._put_bucket_encryption(name, body.encode()), "BucketEncryption")
    else:
        buckets._delete_bucket_encryption(name)
    logging = properties.get("LoggingConfiguration") or {}
    status: Properties = {}
    if logging:
        target = logging.get("DestinationBucketName") or name
        status = {"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": logging.get("LogFilePrefix") or ""}}
    _checked(buckets._put_bucket_logging(name, _xml("BucketLoggingStatus", status).encode()), "LoggingConfiguration")


def _lifecycle_rule(rule: Properties) -> Properties:
    """Convert a rule from the template's spelling to the API's."""
    expiration = {
        "Days": rule.get("ExpirationInDays"),
        "Date": rule.get("ExpirationDate"),
        "ExpiredObjectDeleteMarker": rule.get("ExpiredObjectDeleteMarker"),
    }
    noncurrent = rule.get("NoncurrentVersionExpiration")
    if noncurrent is None and rule.get("NoncurrentVersionExpirationInDays") is not None:
        noncurrent = {"NoncurrentDays": rule["NoncurrentVersionExpirationInDays"]}
    transitions = [
        {"Days": each.get("TransitionInDays"), "Date": each.get("TransitionDate"), "StorageClass": each["StorageClass"]}
        for each in rule.get("Transitions") or []
    ]
    return {
        "ID": rule.get("Id"),
        "Filter": {"Prefix": rule.get("Prefix") or ""},
        "Status": rule["Status"],
        "Expiration": expiration if any(value is not None for value in expiration.values()) else None,
        "NoncurrentVersionExpiration": noncurrent,
        "AbortIncompleteMultipartUpload": rule.get("AbortIncompleteMultipartUpload"),
        "Transition": transitions or None,
    }


def _table(name: str, properties: Properties) -> None:
    tables = service("dynamodb")
    encryption = properties.get("SSESpecification") or {}
    update: Properties = {
        "TableName": name,
        "DeletionProtectionEnabled": bool(properties.get("DeletionProtectionEnabled", False)),
        "SSESpecification": {
            "Enabled": bool(encryption.get("SSEEnabled", False)),
            **{key: encryption[key] for key in ("SSEType", "KMSMasterKeyId") if key in encryption},
        },
    }
    _checked(tables._update_table(update), "SSESpecification")
    recovery = properties.get("PointInTimeRecoverySpecification") or {}
    specification = {"PointInTimeRecoveryEnabled": bool(recovery.get("PointInTimeRecoveryEnabled", False))}
    _checked(
        tables._update_continuous_backups({"TableName": name, "PointInTimeRecoverySpecification": specification}),
        "PointInTimeRecoverySpecification",
    )
    wanted = properties.get("TimeToLiveSpecification") or {}
    described = json.loads(_checked(tables._describe_ttl({"TableName": name}), "TimeToLiveSpecification"))
    current = described["TimeToLiveDescription"]
    enabled = current.get("TimeToLiveStatus") == "ENABLED"
    if wanted.get("Enabled") and (not enabled or current.get("AttributeName") != wanted["AttributeName"]):
        change = {"Enabled": True, "AttributeName": wanted["AttributeName"]}
    elif enabled and not wanted.get("Enabled"):
        change = {"Enabled": False, "AttributeName": current["AttributeName"]}
    else:
        return
    _checked(tables._update_ttl({"TableName": name, "TimeToLiveSpecification": change}), "TimeToLiveSpecification")


def _function(name: str, properties: Properties) -> None:
    functions = service("lambda_svc")
    reserved = properties.get("ReservedConcurrentExecutions")
    if reserved is None:
        functions._delete_function_concurrency(name)
    else:
        request = {"ReservedConcurrentExecutions": int(reserved)}
        _checked(functions._put_function_concurrency(name, request), "ReservedConcurrentExecutions")
    config = functions._functions[name]["config"]
    if properties.get("DeadLetterConfig"):
        config["DeadLetterConfig"] = properties["DeadLetterConfig"]
    else:
        config.pop("DeadLetterConfig", None)


def _state_machine(arn: str, properties: Properties) -> None:
    machine = service("stepfunctions")._state_machines[arn]
    logging = properties.get("LoggingConfiguration") or {}
    machine["loggingConfiguration"] = {
        "level": logging.get("Level", "OFF"),
        "includeExecutionData": bool(logging.get("IncludeExecutionData", False)),
        "destinations": [
            {"cloudWatchLogsLogGroup": {"logGroupArn": each["CloudWatchLogsLogGroup"]["LogGroupArn"]}}
            for each in logging.get("Destinations") or []
        ],
    }
    machine["tracingConfiguration"] = {"enabled": bool((properties.get("TracingConfiguration") or {}).get("Enabled", False))}


def _topic(arn: str, properties: Properties) -> None:
    attributes = service("sns")._topics[arn]["attributes"]
    if properties.get("KmsMasterKeyId"):
        attributes["KmsMasterKeyId"] = properties["KmsMasterKeyId"]
    else:
        attributes.pop("KmsMasterKeyId", None)


_APPLY: dict[str, Callable[[str, Properties], None]] = {
    "AWS::S3::Bucket": _bucket,
    "AWS::DynamoDB::Table": _table,
    "AWS::Lambda::Function": _function,
    "AWS::StepFunctions::StateMachine": _state_machine,
    "AWS::SNS::Topic": _topic,
    "AWS::ApiGateway::RestApi": rest_api_properties.rest_api,
    "AWS::ApiGateway::RequestValidator": rest_api_properties.validator,
    "AWS::ApiGateway::Method": rest_api_properties.method,
    "AWS::ApiGateway::Stage": rest_api_properties.stage,
}


def _create(original: Callable[..., Any], apply_properties: Callable[[str, Properties], None]) -> Callable[..., Any]:
    def create(logical_id: str, properties: Properties, stack_name: str) -> Any:
        physical_id, attributes = original(logical_id, properties, stack_name)
        apply_properties(physical_id, properties)
        return physical_id, attributes

    return create


def _update(original: Callable[..., Any], apply_properties: Callable[[str, Properties], None]) -> Callable[..., Any]:
    def update(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Any:
        new_id, attributes = original(physical_id, old, new, *rest)
        apply_properties(new_id, new)
        return new_id, attributes

    return update


def _delete_table(original: Callable[..., Any]) -> Callable[..., Any]:
    def delete(physical_id: str, properties: Properties) -> Any:
        table = service("dynamodb")._tables.get(physical_id) or {}
        if table.get("DeletionProtectionEnabled"):
            raise PropertyRejected(f"Resource cannot be deleted as it is currently protected against deletion: {physical_id}")
        return original(physical_id, properties)

    return delete


def apply() -> None:
    """Apply the ignored properties after each create and update."""
    require(TARGETS)
    handlers = service("cloudformation.provisioners")._RESOURCE_HANDLERS
    for resource_type, apply_properties in _APPLY.items():
        handler = handlers[resource_type]
        handler["create"] = _create(handler["create"], apply_properties)
        handler["update"] = _update(handler["update"], apply_properties)
    table = handlers["AWS::DynamoDB::Table"]
    table["delete"] = _delete_table(table["delete"])
