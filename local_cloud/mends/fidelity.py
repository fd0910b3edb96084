"""Compares what each deployed template says with what the services say, and lists what is not emulated.

An emulator may accept a template and drop half of it. This program asks the services themselves: for every property of
every resource it reads the deployed value and reports each one that is missing or different, and each one that nothing
could verify. An empty list means that what was deployed is what was written.

    python -m local_cloud.mends.fidelity --stage local
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud import clients as local_clients
from local_cloud import lifecycle
from local_cloud.mends.describe import READERS

#: Properties no AWS service returns as they were given: uploads, and tags, which every service tells differently.
NOT_DESCRIBED = {
    "AWS::Lambda::Function": {"Code"},
    "AWS::Lambda::LayerVersion": {"Content"},
}
NOT_COMPARED = {"Tags"}


@dataclass(frozen=True)
class Finding:
    """A property that is not deployed as the template says.

    Attributes
    ----------
    stack, logical_id, resource_type, property_path : str
        Where the template says it.
    kind : str
        ``missing`` (the service knows no value), ``different``, or ``unverified`` (nothing can read it).
    expected, actual : Any
        What the template says and what the service says.
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


class _Unknown:
    """A value that only the deployment knows; any deployed value agrees with it."""

    def __repr__(self) -> str:
        return "<known after deployment>"


UNKNOWN = _Unknown()


class Resolver:
    """Resolves the intrinsic functions of one stack's template as far as the deployment tells.

    Parameters
    ----------
    values : mapping of str to str
        Physical ids by logical id, parameters and pseudo parameters.
    exports : mapping of str to str
        Values by export name.
    """

    def __init__(self, values: Mapping[str, str], exports: Mapping[str, str]) -> None:
        self._values = values
        self._exports = exports

    def resolve(self, value: Any) -> Any:
        """Return the value with every intrinsic function replaced by its result or by ``UNKNOWN``."""
        if isinstance(value, list):
            return [self.resolve(each) for each in value if each != {"Ref": "AWS::NoValue"}]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument) = next(iter(value.items()))
            if name == "Ref":
                return self._values.get(argument, UNKNOWN)
            if name == "Fn::ImportValue":
                return self._exports.get(self.resolve(argument), UNKNOWN)
            if name == "Fn::Join":
                parts = self.resolve(argument[1])
                return UNKNOWN if UNKNOWN in parts else argument[0].join(map(str, parts))
            if name == "Fn::Split":
                text = self.resolve(argument[1])
                return text.split(argument[0]) if isinstance(text, str) else UNKNOWN
            if name == "Fn::Select":
                choices = self.resolve(argument[1])
                return choices[int(argument[0])] if isinstance(choices, list) else UNKNOWN
            if name == "Fn::Sub":
                return self._substitute(argument)
            if name.startswith("Fn::"):
                return UNKNOWN
        return {name: self.resolve(each) for name, each in value.items() if each != {"Ref": "AWS::NoValue"}}

    def _substitute(self, argument: Any) -> Any:
        text, extra = argument if isinstance(argument, list) else (argument, {})
        known = {**self._values, **{name: self.resolve(each) for name, each in extra.items()}}
        names = re.findall(r"\$\{([^!}]+)\}", text)
        if any(known.get(name, UNKNOWN) is UNKNOWN for name in names):
            return UNKNOWN
        return re.sub(r"\$\{([^!}]+)\}", lambda match: str(known[match[1]]), text)


def differences(expected: Any, actual: Any, path: str) -> list[tuple[str, str, Any, Any]]:
    """List where a deployed value departs from a template's.

    Returns
    -------
    list of (path, kind, expected, actual)
        The deployed value may hold more members than the template names.
    """
    if actual is None and expected in ({}, [], None, ""):
        return []
    if actual is None:
        return [(path, "missing", expected, None)]
    if expected is UNKNOWN:
        return []
    if isinstance(expected, dict) and isinstance(actual, dict):
        found = []
        for name, each in expected.items():
            found += differences(each, actual.get(name), f"{path}.{name}")
        return found
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return _list_differences(expected, actual, path)
    if isinstance(expected, (dict, list)) != isinstance(actual, (dict, list)) and _parsed(actual) != actual:
        # Documents travel as texts: compare what they say.
        return differences(expected, _parsed(actual), path)
    if isinstance(expected, str) and _parsed(expected) != expected and isinstance(actual, (dict, list)):
        return differences(_parsed(expected), actual, path)
    # A list of one and its only member mean the same in a policy; numbers and booleans travel as texts.
    if _plain(expected) == _plain(actual):
        return []
    return [(path, "different", expected, actual)]


def _list_differences(expected: list[Any], actual: list[Any], path: str) -> list[tuple[str, str, Any, Any]]:
    """Compare lists whose order may differ; report against the member in the same place when nothing agrees."""
    left = list(actual)
    found = []
    for index, each in enumerate(expected):
        match = next((other for other in left if not differences(each, other, path)), None)
        if match is not None:
            left.remove(match)
        else:
            found += differences(each, actual[index], f"{path}[{index}]")
    return found


def _parsed(value: Any) -> Any:
    """The JSON document in a text; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{float(value):g}"
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return f"{float(value):g}"
    return value


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
        Empty when everything the templates say is deployed and could be verified.
    """
    client = functools.cache(session.client)
    exports: dict[str, str] = {}
    for page in client("cloudformation").get_paginator("list_exports").paginate():
        exports |= {each["Name"]: each["Value"] for each in page["Exports"]}
    findings: list[Finding] = []
    for stack in stack_names:
        findings += _compare_stack(client, stack, exports)
    return findings


def _compare_stack(client: Any, stack: str, exports: Mapping[str, str]) -> list[Finding]:
    cloudformation = client("cloudformation")
    template = cloudformation.get_template(StackName=stack)["TemplateBody"]
    template = json.loads(template) if isinstance(template, str) else template
    (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    _, _, _, region, account, *_ = described["StackId"].split(":")
    values = {
        "AWS::AccountId": account,
        "AWS::Region": region,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": stack,
        "AWS::StackId": described["StackId"],
    }
    values |= {each["ParameterKey"]: each["ParameterValue"] for each in described.get("Parameters", [])}
    physical: dict[str, str] = {}
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        physical |= {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in page["StackResourceSummaries"]}
    resolver = Resolver({**values, **physical}, exports)
    findings = []
    for logical_id, resource in template["Resources"].items():
        kind = resource["Type"]
        if kind == "AWS::CDK::Metadata" or ("Condition" in resource and logical_id not in physical):
            continue
        properties = resolver.resolve(resource.get("Properties", {}))
        for path, verdict, expected, actual in _compare_resource(client, kind, physical.get(logical_id), properties):
            findings.append(Finding(stack, logical_id, kind, path, verdict, expected, actual))
    return findings


def _compare_resource(
    client: Any, kind: str, physical_id: str | None, properties: dict[str, Any]
) -> list[tuple[str, str, Any, Any]]:
    if physical_id is None:
        return [("Ref", "missing", "a deployed resource", None)]
    reader = READERS.get(kind)
    if reader is None:
        return [("*", "unverified", None, f"no reader for {kind}")]
    if "DefinitionSubstitutions" in properties:
        properties = _substituted(properties)
    try:
        actual = reader(client, physical_id, properties)
    except (BotoCoreError, ClientError, KeyError, IndexError, ValueError) as error:
        return [("*", "unverified", None, f"{type(error).__name__}: {error}")]
    found = []
    for name, expected in properties.items():
        if name not in NOT_COMPARED and name not in NOT_DESCRIBED.get(kind, set()):
            found += differences(expected, actual.get(name), name)
    return found


def _substituted(properties: dict[str, Any]) -> dict[str, Any]:
    """A state machine's properties with its substitutions carried out."""
    remaining = dict(properties)
    definition = remaining.pop("DefinitionString")
    for name, value in remaining.pop("DefinitionSubstitutions").items():
        definition = UNKNOWN if UNKNOWN in (value, definition) else definition.replace(f"${{{name}}}", value)
    return {**remaining, "DefinitionString": definition}


def stage_stacks(session: Any, stage: str) -> list[str]:
    """Names of the stacks that a stage has deployed, sorted."""
    pages = session.client("cloudformation").get_paginator("list_stacks").paginate()
    found = (each for page in pages for each in page["StackSummaries"] if each["StackStatus"] != "DELETE_COMPLETE")
    return sorted({each["StackName"] for each in found if each["StackName"].startswith(f"driftless-{stage}-")})


def main() -> None:
    """Print the findings of a stage's stacks; exit with 1 when there is any."""
    parser = argparse.ArgumentParser(prog="python -m local_cloud.mends.fidelity", description=__doc__.splitlines()[0])
    parser.add_argument("--stage", default="local")
    stage = parser.parse_args().stage
    session = local_clients.session(lifecycle.status().endpoint)
    names = stage_stacks(session, stage)
    if not names:
        sys.exit(f"no stack named driftless-{stage}-* is deployed")
    findings = compare(session, names)
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings in {len(names)} stacks; not compared: {', '.join(sorted(NOT_COMPARED))}")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
