"""Properties of REST API resources that the emulator's CloudFormation drops.

Request validators are the ones that matter: the emulator enforces a validator that was made through the API, but one
from a template exists nowhere and no method refers to it, so bad requests reach the function. Access log settings
and endpoint types are stored so that what a template says is what Get returns.
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
    """Store a request validator under the id its template resource has."""
    service("apigateway_v1")._request_validators.setdefault(properties["RestApiId"], {})[physical_id] = {
        "id": physical_id,
        "name": properties.get("Name", ""),
        "validateRequestBody": properties.get("ValidateRequestBody", False) in (True, "true"),
        "validateRequestParameters": properties.get("ValidateRequestParameters", False) in (True, "true"),
    }


def method(_: str, properties: Properties) -> None:
    """Make a method refer to its request validator."""
    resource = service("apigateway_v1")._resources[properties["RestApiId"]][properties["ResourceId"]]
    resource["resourceMethods"][properties["HttpMethod"]]["requestValidatorId"] = properties.get("RequestValidatorId")


def stage(name: str, properties: Properties) -> None:
    """Store where a stage's access log goes."""
    settings = properties.get("AccessLogSetting") or {}
    names = (("destinationArn", "DestinationArn"), ("format", "Format"))
    service("apigateway_v1")._stages_v1[properties["RestApiId"]][name]["accessLogSettings"] = {
        ours: settings[theirs] for ours, theirs in names if theirs in settings
    }


def rest_api(physical_id: str, properties: Properties) -> None:
    """Store the endpoint types in the API's spelling."""
    types = (properties.get("EndpointConfiguration") or {}).get("Types") or ["EDGE"]
    service("apigateway_v1")._rest_apis[physical_id]["endpointConfiguration"] = {"types": types}
