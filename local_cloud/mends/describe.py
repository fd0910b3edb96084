"""What the deployed resources are, in the spelling of templates, as the services' Describe and Get calls tell it.

One small reader for each resource type. A reader returns only what the service says; what it does not return cannot be
claimed to be deployed. The comparison with the templates is in :mod:`local_cloud.mends.fidelity`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

Properties = dict[str, Any]
Clients = Callable[[str], Any]
Reader = Callable[[Clients, str, Properties], Properties]


def _answer(call: Callable[..., Properties], **arguments: Any) -> Properties:
    """The answer of a call; empty where the service says that there is no such configuration."""
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"].startswith(
            ("NoSuch", "ServerSideEncryptionConfigurationNotFound", "ResourceNotFound")
        ):
            return {}
        raise


def _capitalised(value: Any) -> Any:
    """The value with its keys as templates write them; keys that are data (``application/json``) stay."""
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:] if name.isalpha() else name: _capitalised(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_capitalised(each) for each in value]
    return value


def _document(text: Any) -> Any:
    return json.loads(text) if isinstance(text, str) and text else text


def _bucket(clients: Clients, name: str, _: Properties) -> Properties:
    s3 = clients("s3")
    rules = []
    for rule in _answer(s3.get_bucket_lifecycle_configuration, Bucket=name).get("Rules", []):
        read = {"Id": rule.get("ID"), "Status": rule["Status"], "Prefix": (rule.get("Filter") or {}).get("Prefix")}
        read["ExpirationInDays"] = (rule.get("Expiration") or {}).get("Days")
        read |= {key: rule[key] for key in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload") if key in rule}
        rules.append(read)
    encryption = _answer(s3.get_bucket_encryption, Bucket=name).get("ServerSideEncryptionConfiguration", {})
    described = [
        {
            "ServerSideEncryptionByDefault": rule.get("ApplyServerSideEncryptionByDefault"),
            "BucketKeyEnabled": rule.get("BucketKeyEnabled"),
        }
        for rule in encryption.get("Rules", [])
    ]
    notification = _answer(s3.get_bucket_notification_configuration, Bucket=name)
    access_logs = _answer(s3.get_bucket_logging, Bucket=name).get("LoggingEnabled", {})
    block = _answer(s3.get_public_access_block, Bucket=name).get("PublicAccessBlockConfiguration")
    return {
        "BucketName": name,
        "LifecycleConfiguration": {"Rules": rules},
        "BucketEncryption": {"ServerSideEncryptionConfiguration": described},
        "NotificationConfiguration": {
            "EventBridgeConfiguration": {"EventBridgeEnabled": "EventBridgeConfiguration" in notification}
        },
        "LoggingConfiguration": {
            "DestinationBucketName": access_logs.get("TargetBucket"),
            "LogFilePrefix": access_logs.get("TargetPrefix"),
        },
        "PublicAccessBlockConfiguration": block,
        "VersioningConfiguration": {"Status": s3.get_bucket_versioning(Bucket=name).get("Status")},
    }


def _bucket_policy(clients: Clients, _: str, properties: Properties) -> Properties:
    policy = _answer(clients("s3").get_bucket_policy, Bucket=properties["Bucket"]).get("Policy")
    return {"Bucket": properties["Bucket"], "PolicyDocument": _document(policy)}


def _table(clients: Clients, name: str, _: Properties) -> Properties:
    dynamodb = clients("dynamodb")
    table = dynamodb.describe_table(TableName=name)["Table"]
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    return {
        "TableName": name,
        "AttributeDefinitions": table["AttributeDefinitions"],
        "KeySchema": table["KeySchema"],
        "BillingMode": table.get("BillingModeSummary", {}).get("BillingMode"),
        "DeletionProtectionEnabled": table.get("DeletionProtectionEnabled"),
        "SSESpecification": {"SSEEnabled": table.get("SSEDescription", {}).get("Status") == "ENABLED"},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": recovery == "ENABLED"},
        "TimeToLiveSpecification": {
            "Enabled": expiry.get("TimeToLiveStatus") == "ENABLED",
            "AttributeName": expiry.get("AttributeName"),
        },
    }


def _function(clients: Clients, name: str, _: Properties) -> Properties:
    answer = clients("lambda").get_function(FunctionName=name)
    read = dict(answer["Configuration"])
    read["Layers"] = [layer["Arn"] for layer in read.get("Layers", [])]
    read["ReservedConcurrentExecutions"] = answer.get("Concurrency", {}).get("ReservedConcurrentExecutions")
    return read


def _alias(clients: Clients, _: str, properties: Properties) -> Properties:
    answer = clients("lambda").get_alias(FunctionName=properties["FunctionName"], Name=properties["Name"])
    return {**answer, "FunctionName": properties["FunctionName"]}


def _version(clients: Clients, arn: str, properties: Properties) -> Properties:
    answer = clients("lambda").get_function_configuration(FunctionName=arn)
    return {**answer, "FunctionName": properties["FunctionName"]}


def _invoke_config(clients: Clients, _: str, properties: Properties) -> Properties:
    keys = {"FunctionName": properties["FunctionName"], "Qualifier": properties["Qualifier"]}
    return {**clients("lambda").get_function_event_invoke_config(**keys), **keys}


def _qualified(reference: str) -> Properties:
    """Request parameters for a function given by name or by ARN, with a version or an alias if the ARN ends in one."""
    parts = reference.split(":")
    if len(parts) < 8:
        return {"FunctionName": reference}
    return {"FunctionName": ":".join(parts[:7]), "Qualifier": parts[7]}


def _permission(clients: Clients, _: str, properties: Properties) -> Properties:
    """The statement of the function's policy that grants what the template grants, if there is one."""
    wanted = properties.get("SourceArn")
    policy = _answer(clients("lambda").get_policy, **_qualified(properties["FunctionName"])).get("Policy", '{"Statement": []}')
    for statement in json.loads(policy)["Statement"]:
        principal = statement["Principal"]
        source = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn")
        who = principal.get("Service") or principal.get("AWS") if isinstance(principal, dict) else principal
        if who == properties["Principal"] and (source == wanted or not isinstance(wanted, str)):
            found = {"Action": statement["Action"], "Principal": who, "SourceArn": source}
            return {**found, "FunctionName": properties["FunctionName"]}
    return {"FunctionName": properties["FunctionName"]}


def _layer(clients: Clients, arn: str, _: Properties) -> Properties:
    return dict(clients("lambda").get_layer_version_by_arn(Arn=arn))


def _machine(clients: Clients, arn: str, _: Properties) -> Properties:
    answer = clients("stepfunctions").describe_state_machine(stateMachineArn=arn)
    return {
        "DefinitionString": answer["definition"],
        "RoleArn": answer["roleArn"],
        "StateMachineType": answer["type"],
        "LoggingConfiguration": _capitalised(answer.get("loggingConfiguration")),
        "TracingConfiguration": _capitalised(answer.get("tracingConfiguration")),
    }


def _event_source(clients: Clients, identifier: str, properties: Properties) -> Properties:
    read = _dictionary(clients("lambda").get_event_source_mapping(UUID=identifier))
    arn, named = str(read.get("FunctionArn")), str(properties["FunctionName"])
    # A template may name the function, with or without an alias, where the service answers its ARN.
    return {**read, "FunctionName": named if arn.endswith(f":function:{named}") else arn}


def _log_group(clients: Clients, name: str, _: Properties) -> Properties:
    (group,) = clients("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"][:1]
    return _dictionary(_capitalised(group))


def _subscription(clients: Clients, _: str, properties: Properties) -> Properties:
    group = properties["LogGroupName"]
    for found in clients("logs").describe_subscription_filters(logGroupName=group)["subscriptionFilters"]:
        if found["destinationArn"] == properties["DestinationArn"]:
            return _dictionary(_capitalised(found))
    return {}


def _queue(clients: Clients, url: str, _: Properties) -> Properties:
    attributes = clients("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    read: Properties = dict(attributes)
    read["RedrivePolicy"] = _document(read.get("RedrivePolicy"))
    return read


def _queue_policy(clients: Clients, _: str, properties: Properties) -> Properties:
    attributes = clients("sqs").get_queue_attributes(QueueUrl=properties["Queues"][0], AttributeNames=["Policy"])
    return {"Queues": properties["Queues"], "PolicyDocument": _document(attributes.get("Attributes", {}).get("Policy"))}


def _topic(clients: Clients, arn: str, _: Properties) -> Properties:
    return dict(clients("sns").get_topic_attributes(TopicArn=arn)["Attributes"])


def _topic_policy(clients: Clients, _: str, properties: Properties) -> Properties:
    attributes = clients("sns").get_topic_attributes(TopicArn=properties["Topics"][0])["Attributes"]
    return {"Topics": properties["Topics"], "PolicyDocument": _document(attributes.get("Policy"))}


def _subscription_of_topic(clients: Clients, arn: str, _: Properties) -> Properties:
    return dict(clients("sns").get_subscription_attributes(SubscriptionArn=arn)["Attributes"])


def _key(clients: Clients, key_id: str, _: Properties) -> Properties:
    kms = clients("kms")
    metadata = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    rotation = (
        kms.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] if metadata["KeySpec"] == "SYMMETRIC_DEFAULT" else False
    )
    policy = kms.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"]
    return {**metadata, "EnableKeyRotation": rotation, "KeyPolicy": _document(policy)}


def _parameter(clients: Clients, name: str, _: Properties) -> Properties:
    return dict(clients("ssm").get_parameter(Name=name)["Parameter"])


def _rule(clients: Clients, name: str, _: Properties) -> Properties:
    events = clients("events")
    short = name.rsplit("/", 1)[-1]
    read = dict(events.describe_rule(Name=short))
    read["EventPattern"] = _document(read.get("EventPattern"))
    read["Targets"] = events.list_targets_by_rule(Rule=short)["Targets"]
    return read


def _alarm(clients: Clients, name: str, _: Properties) -> Properties:
    return dict(clients("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0])


def _dashboard(clients: Clients, name: str, _: Properties) -> Properties:
    return dict(clients("cloudwatch").get_dashboard(DashboardName=name))


def _role(clients: Clients, name: str, _: Properties) -> Properties:
    iam = clients("iam")
    read = dict(iam.get_role(RoleName=name)["Role"])
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    documents = {each: iam.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"] for each in names}
    read["Policies"] = [{"PolicyName": each, "PolicyDocument": document} for each, document in documents.items()]
    return read


def _policy(clients: Clients, _: str, properties: Properties) -> Properties:
    role = properties["Roles"][0]
    answer = _answer(clients("iam").get_role_policy, RoleName=role, PolicyName=properties["PolicyName"])
    return {
        "PolicyName": answer.get("PolicyName"),
        "PolicyDocument": answer.get("PolicyDocument"),
        "Roles": [answer.get("RoleName")],
    }


def _dictionary(value: Any) -> Properties:
    return value if isinstance(value, dict) else {}


def _rest_api(clients: Clients, api: str, _: Properties) -> Properties:
    return _dictionary(_capitalised(clients("apigateway").get_rest_api(restApiId=api)))


def _of_api(operation: str, **parameters: str) -> Reader:
    """A reader for a part of a REST API: its operation, and the template property behind each request parameter."""

    def read(clients: Clients, physical_id: str, properties: Properties) -> Properties:
        request = {name: physical_id if source == "Ref" else properties[source] for name, source in parameters.items()}
        answer = _answer(getattr(clients("apigateway"), operation), **request)
        answer.pop("ResponseMetadata", None)
        # Given in the request and found: the part belongs to them.
        return {
            **{source: properties[source] for source in parameters.values() if source != "Ref"},
            **_dictionary(_capitalised(answer)),
        }

    return read


def _model(clients: Clients, physical_id: str, properties: Properties) -> Properties:
    read = _of_api("get_model", restApiId="RestApiId", modelName="Ref")(clients, physical_id, properties)
    return {**read, "Schema": _document(read.get("Schema"))}


def _method(clients: Clients, physical_id: str, properties: Properties) -> Properties:
    read = _of_api("get_method", restApiId="RestApiId", resourceId="ResourceId", httpMethod="HttpMethod")(
        clients, physical_id, properties
    )
    integration = read.pop("MethodIntegration", {})
    # The API calls it httpMethod, the template IntegrationHttpMethod.
    return {**read, "Integration": {**integration, "IntegrationHttpMethod": integration.get("HttpMethod")}}


def _stage(clients: Clients, physical_id: str, properties: Properties) -> Properties:
    read = _of_api("get_stage", restApiId="RestApiId", stageName="StageName")(clients, physical_id, properties)
    settings = []
    for key, values in (read.get("MethodSettings") or {}).items():
        resource, _, verb = key.rpartition("/")
        path = "/" + resource.lstrip("/").replace("/", "~1")
        settings.append({"ResourcePath": path, "HttpMethod": verb, **values})
    return {**read, "MethodSettings": settings, "AccessLogSetting": read.get("AccessLogSettings")}


def _account(clients: Clients, _: str, __: Properties) -> Properties:
    return {"CloudWatchRoleArn": clients("apigateway").get_account().get("cloudwatchRoleArn")}


READERS: dict[str, Reader] = {
    "AWS::ApiGateway::Account": _account,
    "AWS::ApiGateway::Deployment": _of_api("get_deployment", restApiId="RestApiId", deploymentId="Ref"),
    "AWS::ApiGateway::GatewayResponse": _of_api("get_gateway_response", restApiId="RestApiId", responseType="ResponseType"),
    "AWS::ApiGateway::Method": _method,
    "AWS::ApiGateway::Model": _model,
    "AWS::ApiGateway::RequestValidator": _of_api("get_request_validator", restApiId="RestApiId", requestValidatorId="Ref"),
    "AWS::ApiGateway::Resource": _of_api("get_resource", restApiId="RestApiId", resourceId="Ref"),
    "AWS::ApiGateway::RestApi": _rest_api,
    "AWS::ApiGateway::Stage": _stage,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _dashboard,
    "AWS::DynamoDB::Table": _table,
    "AWS::Events::Rule": _rule,
    "AWS::IAM::Policy": _policy,
    "AWS::IAM::Role": _role,
    "AWS::KMS::Key": _key,
    "AWS::Lambda::Alias": _alias,
    "AWS::Lambda::EventInvokeConfig": _invoke_config,
    "AWS::Lambda::EventSourceMapping": _event_source,
    "AWS::Lambda::Function": _function,
    "AWS::Lambda::LayerVersion": _layer,
    "AWS::Lambda::Permission": _permission,
    "AWS::Lambda::Version": _version,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::Logs::SubscriptionFilter": _subscription,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::SNS::Subscription": _subscription_of_topic,
    "AWS::SNS::Topic": _topic,
    "AWS::SNS::TopicPolicy": _topic_policy,
    "AWS::SQS::Queue": _queue,
    "AWS::SQS::QueuePolicy": _queue_policy,
    "AWS::SSM::Parameter": _parameter,
    "AWS::StepFunctions::StateMachine": _machine,
}
