"""Compare every resource of deployed stacks with its template and return the findings."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.fidelity.differences import Difference, differences
from local_cloud.fidelity.readers import READERS
from local_cloud.fidelity.template import Resolver, with_substitutions

#: Properties that no AWS service returns as they were given, because they are uploads.
NOT_DESCRIBED = {
    "AWS::Lambda::Function": {"Code"},
    "AWS::Lambda::LayerVersion": {"Content"},
}
#: Properties that every service returns in a different form.
NOT_COMPARED = {"Tags"}


@dataclass(frozen=True)
class Finding:
    """A property whose deployed value is not the template's value.

    Attributes
    ----------
    stack, logical_id, resource_type, property_path : str
        The property's place in the template.
    kind : str
        ``missing`` (the service has no value), ``different``, or ``unverified`` (no reader can read it).
    expected, actual : Any
        The template's value and the deployed value.
    """

    stack: str
    logical_id: str
    resource_type: str
    property_path: str
    kind: str
    expected: Any
    actual: Any

    def __str__(self) -> str:
        expected, actual = (json.dumps(value, default=repr) for value in (self.expected, self.actual))
        where = f"{self.stack}/{self.logical_id} ({self.resource_type}) {self.property_path}"
        if self.kind == "unverified":
            return f"{where}: not verified ({self.actual})"
        return f"{where}: {self.kind}; template {expected}, deployed {actual}"


def compare(session: Any, stack_names: Sequence[str]) -> list[Finding]:
    """Compare deployed stacks with their templates.

    Parameters
    ----------
    session : boto3.Session or alike
        Its ``client`` method opens a client of the account that holds the stacks.
    stack_names : sequence of str
        Deployed stacks.

    Returns
    -------
    list of Finding
        Empty when every property of the templates was read and has the template's value.
    """
    client = functools.cache(session.client)
    exports: dict[str, str] = {}
    for page in client("cloudformation").get_paginator("list_exports").paginate():
        exports |= {each["Name"]: each["Value"] for each in page["Exports"]}
    findings: list[Finding] = []
    for stack in stack_names:
        findings += _compare_stack(client, stack, exports)
    return findings


def stage_stacks(session: Any, stage: str) -> list[str]:
    """Return the sorted names of a stage's deployed stacks."""
    pages = session.client("cloudformation").get_paginator("list_stacks").paginate()
    found = (each for page in pages for each in page["StackSummaries"] if each["StackStatus"] != "DELETE_COMPLETE")
    return sorted({each["StackName"] for each in found if each["StackName"].startswith(f"driftless-{stage}-")})


def _compare_stack(client: Any, stack: str, exports: Mapping[str, str]) -> list[Finding]:
    cloudformation = client("cloudformation")
    template = cloudformation.get_template(StackName=stack)["TemplateBody"]
    template = json.loads(template) if isinstance(template, str) else template
    physical: dict[str, str] = {}
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        physical |= {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in page["StackResourceSummaries"]}
    resolver = Resolver({**_parameters(cloudformation, stack), **physical}, exports)
    findings = []
    for logical_id, resource in template["Resources"].items():
        kind = resource["Type"]
        if kind == "AWS::CDK::Metadata" or ("Condition" in resource and logical_id not in physical):
            continue
        properties = resolver.resolve(resource.get("Properties", {}))
        for path, verdict, expected, actual in _compare_resource(client, kind, physical.get(logical_id), properties):
            findings.append(Finding(stack, logical_id, kind, path, verdict, expected, actual))
    return findings


def _parameters(cloudformation: Any, stack: str) -> dict[str, str]:
    """Return a stack's pseudo parameters and parameters by name."""
    (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    _, _, _, region, account, *_ = described["StackId"].split(":")
    return {
        "AWS::AccountId": account,
        "AWS::Region": region,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": stack,
        "AWS::StackId": described["StackId"],
        **{each["ParameterKey"]: each["ParameterValue"] for each in described.get("Parameters", [])},
    }


def _compare_resource(client: Any, kind: str, physical_id: str | None, properties: dict[str, Any]) -> list[Difference]:
    if physical_id is None:
        return [("Ref", "missing", "a deployed resource", None)]
    reader = READERS.get(kind)
    if reader is None:
        return [("*", "unverified", None, f"no reader for {kind}")]
    if "DefinitionSubstitutions" in properties:
        properties = with_substitutions(properties)
    try:
        actual = reader(client, physical_id, properties)
    except (BotoCoreError, ClientError, KeyError, IndexError, ValueError) as error:
        return [("*", "unverified", None, f"{type(error).__name__}: {error}")]
    found = []
    for name, expected in properties.items():
        if name not in NOT_COMPARED and name not in NOT_DESCRIBED.get(kind, set()):
            found += differences(expected, actual.get(name), name)
    return found
