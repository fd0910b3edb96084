"""Readers for Lambda functions and Step Functions state machines."""

from __future__ import annotations

import json

from local_cloud.fidelity.readers.responses import Clients, Properties, Reader, capitalised, dictionary, read


def function(clients: Clients, name: str, _: Properties) -> Properties:
    """Read a function's configuration, layers and reserved concurrency."""
    response = clients("lambda").get_function(FunctionName=name)
    found = dict(response["Configuration"])
    found["Layers"] = [layer["Arn"] for layer in found.get("Layers", [])]
    found["ReservedConcurrentExecutions"] = response.get("Concurrency", {}).get("ReservedConcurrentExecutions")
    return found


def alias(clients: Clients, _: str, properties: Properties) -> Properties:
    """Read a function's alias."""
    response = clients("lambda").get_alias(FunctionName=properties["FunctionName"], Name=properties["Name"])
    return {**response, "FunctionName": properties["FunctionName"]}


def version(clients: Clients, arn: str, properties: Properties) -> Properties:
    """Read the configuration of a published version."""
    response = clients("lambda").get_function_configuration(FunctionName=arn)
    return {**response, "FunctionName": properties["FunctionName"]}


def invoke_config(clients: Clients, _: str, properties: Properties) -> Properties:
    """Read the settings of asynchronous invocation."""
    keys = {"FunctionName": properties["FunctionName"], "Qualifier": properties["Qualifier"]}
    return {**clients("lambda").get_function_event_invoke_config(**keys), **keys}


def permission(clients: Clients, _: str, properties: Properties) -> Properties:
    """Read the statement of the function's policy that grants what the template grants, if there is one."""
    wanted = properties.get("SourceArn")
    policy = read(clients("lambda").get_policy, **_qualified(properties["FunctionName"])).get("Policy", '{"Statement": []}')
    for statement in json.loads(policy)["Statement"]:
        principal = statement["Principal"]
        source = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn")
        who = principal.get("Service") or principal.get("AWS") if isinstance(principal, dict) else principal
        if who == properties["Principal"] and (source == wanted or not isinstance(wanted, str)):
            found = {"Action": statement["Action"], "Principal": who, "SourceArn": source}
            return {**found, "FunctionName": properties["FunctionName"]}
    return {"FunctionName": properties["FunctionName"]}


def _qualified(reference: str) -> Properties:
    """Return request parameters for a function name or ARN, with the version or alias at the end of the ARN."""
    parts = reference.split(":")
    if len(parts) < 8:
        return {"FunctionName": reference}
    return {"FunctionName": ":".join(parts[:7]), "Qualifier": parts[7]}


def layer(clients: Clients, arn: str, _: Properties) -> Properties:
    """Read a layer version."""
    return dict(clients("lambda").get_layer_version_by_arn(Arn=arn))


def event_source_mapping(clients: Clients, identifier: str, properties: Properties) -> Properties:
    """Read an event source mapping."""
    found = dictionary(clients("lambda").get_event_source_mapping(UUID=identifier))
    arn, named = str(found.get("FunctionArn")), str(properties["FunctionName"])
    # A template may give a function's name, with or without an alias; the service returns its ARN.
    return {**found, "FunctionName": named if arn.endswith(f":function:{named}") else arn}


def state_machine(clients: Clients, arn: str, _: Properties) -> Properties:
    """Read a state machine's definition, role, logging and tracing."""
    response = clients("stepfunctions").describe_state_machine(stateMachineArn=arn)
    return {
        "DefinitionString": response["definition"],
        "RoleArn": response["roleArn"],
        "StateMachineType": response["type"],
        "LoggingConfiguration": capitalised(response.get("loggingConfiguration")),
        "TracingConfiguration": capitalised(response.get("tracingConfiguration")),
    }


READERS: dict[str, Reader] = {
    "AWS::Lambda::Alias": alias,
    "AWS::Lambda::EventInvokeConfig": invoke_config,
    "AWS::Lambda::EventSourceMapping": event_source_mapping,
    "AWS::Lambda::Function": function,
    "AWS::Lambda::LayerVersion": layer,
    "AWS::Lambda::Permission": permission,
    "AWS::Lambda::Version": version,
    "AWS::StepFunctions::StateMachine": state_machine,
}
