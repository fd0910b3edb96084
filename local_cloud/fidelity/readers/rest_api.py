"""Readers for the parts of an API Gateway REST API."""

from __future__ import annotations

from local_cloud.fidelity.readers.responses import Clients, Properties, Reader, capitalised, dictionary, document, read


def account(clients: Clients, _: str, __: Properties) -> Properties:
    """Read the account's logging role."""
    return {"CloudWatchRoleArn": clients("apigateway").get_account().get("cloudwatchRoleArn")}


def rest_api(clients: Clients, api: str, _: Properties) -> Properties:
    """Read a REST API."""
    return dictionary(capitalised(clients("apigateway").get_rest_api(restApiId=api)))


def part(operation: str, **parameters: str) -> Reader:
    """Return a reader for a part of a REST API.

    Parameters
    ----------
    operation : str
        The Get operation.
    parameters : str
        Each request parameter's source: a template property, or ``Ref`` for the physical id.
    """

    def read_part(clients: Clients, physical_id: str, properties: Properties) -> Properties:
        request = {name: physical_id if source == "Ref" else properties[source] for name, source in parameters.items()}
        response = read(getattr(clients("apigateway"), operation), **request)
        response.pop("ResponseMetadata", None)
        # The service found the part by these properties, so they are the deployed ones.
        given = {source: properties[source] for source in parameters.values() if source != "Ref"}
        return {**given, **dictionary(capitalised(response))}

    return read_part


_read_model = part("get_model", restApiId="RestApiId", modelName="Ref")
_read_method = part("get_method", restApiId="RestApiId", resourceId="ResourceId", httpMethod="HttpMethod")
_read_stage = part("get_stage", restApiId="RestApiId", stageName="StageName")


def model(clients: Clients, physical_id: str, properties: Properties) -> Properties:
    """Read a model; the service returns its schema as a string."""
    found = _read_model(clients, physical_id, properties)
    return {**found, "Schema": document(found.get("Schema"))}


def method(clients: Clients, physical_id: str, properties: Properties) -> Properties:
    """Read a method; the service's ``httpMethod`` of an integration is the template's ``IntegrationHttpMethod``."""
    found = _read_method(clients, physical_id, properties)
    integration = found.pop("MethodIntegration", {})
    return {**found, "Integration": {**integration, "IntegrationHttpMethod": integration.get("HttpMethod")}}


def stage(clients: Clients, physical_id: str, properties: Properties) -> Properties:
    """Read a stage; the service returns method settings by path and method, a template lists them."""
    found = _read_stage(clients, physical_id, properties)
    settings = []
    for key, values in (found.get("MethodSettings") or {}).items():
        resource, _, verb = key.rpartition("/")
        path = "/" + resource.lstrip("/").replace("/", "~1")
        settings.append({"ResourcePath": path, "HttpMethod": verb, **values})
    return {**found, "MethodSettings": settings, "AccessLogSetting": found.get("AccessLogSettings")}


READERS: dict[str, Reader] = {
    "AWS::ApiGateway::Account": account,
    "AWS::ApiGateway::Deployment": part("get_deployment", restApiId="RestApiId", deploymentId="Ref"),
    "AWS::ApiGateway::GatewayResponse": part("get_gateway_response", restApiId="RestApiId", responseType="ResponseType"),
    "AWS::ApiGateway::Method": method,
    "AWS::ApiGateway::Model": model,
    "AWS::ApiGateway::RequestValidator": part("get_request_validator", restApiId="RestApiId", requestValidatorId="Ref"),
    "AWS::ApiGateway::Resource": part("get_resource", restApiId="RestApiId", resourceId="Ref"),
    "AWS::ApiGateway::RestApi": rest_api,
    "AWS::ApiGateway::Stage": stage,
}
