"""Apply the properties of REST API resources that the emulator's CloudFormation ignores.

The emulator enforces a request validator that was created through the API, but it ignores one from a template, so
invalid requests reach the function. Access log settings and endpoint types are stored so that Get returns what the
template says.
"""

from __future__ import annotations

from typing import Any

from local_cloud.mends.patching import service

Properties = dict[str, Any]

TARGETS = (
    "ministack.services.apigateway_v1._request_validators",
    "ministack.services.apigateway_v1._resources",
    "ministack.services.apigateway_v1._stages_v1",
    "ministack.services.apigateway_v1._rest_apis",
)


def validator(physical_id: str, properties: Properties) -> None:
    """Store a request validator with the physical id of its resource."""
    service("apigateway_v1")._request_validators.setdefault(properties["RestApiId"], {})[physical_id] = {
        "id": physical_id,
        "name": properties.get("Name", ""),
        "validateRequestBody": properties.get("ValidateRequestBody", False) in (True, "true"),
        "validateRequestParameters": properties.get("ValidateRequestParameters", False) in (True, "true"),
    }


def method(_: str, properties: Properties) -> None:
    """Set a method's request validator."""
    resource = service("apigateway_v1")._resources[properties["RestApiId"]][properties["ResourceId"]]
    resource["resourceMethods"][properties["HttpMethod"]]["requestValidatorId"] = properties.get("RequestValidatorId")


def stage(name: str, properties: Properties) -> None:
    """Store a stage's access log settings."""
    settings = properties.get("AccessLogSetting") or {}
    names = (("destinationArn", "DestinationArn"), ("format", "Format"))
    service("apigateway_v1")._stages_v1[properties["RestApiId"]][name]["accessLogSettings"] = {
        ours: settings[theirs] for ours, theirs in names if theirs in settings
    }


def rest_api(physical_id: str, properties: Properties) -> None:
    """Store the endpoint types in the API's spelling."""
    types = (properties.get("EndpointConfiguration") or {}).get("Types") or ["EDGE"]
    service("apigateway_v1")._rest_apis[physical_id]["endpointConfiguration"] = {"types": types}
