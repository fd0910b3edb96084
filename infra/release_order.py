"""Which stacks to deploy before all others, because another stack stops exporting what they import.

CloudFormation refuses to remove an export while a deployed stack imports it, and CDK deploys the exporting stack first. A stack
whose new template no longer imports the value can be deployed first, alone; then nothing holds the export.

``python -m infra.release_order cdk.out`` prints these stacks, one per line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError


def release_first(assembly: Path, formation: Any) -> list[str]:
    """Stacks to deploy before all others, each exclusively, in this order.

    Parameters
    ----------
    assembly : Path
        A synthesised CDK assembly.
    formation : CloudFormation client
        A boto3 client of the account that it will be deployed to.

    Raises
    ------
    ValueError
        When such a stack also imports a value that is not exported yet: one deployment cannot do both.
    """
    templates = _templates(assembly)
    kept = {name for template in templates.values() for name in _exports(template)}
    deployed = [name for stack in templates for name in _deployed_exports(formation, stack)]
    holders = {stack for name in deployed if name not in kept for stack in _importers(formation, name)}
    first = [stack for stack in reversed(templates) if stack in holders]
    for stack in first:
        missing = sorted(set(_imports(templates[stack])) - set(deployed))
        if missing:
            raise ValueError(
                f"stack {stack} stops importing a value that is removed, and needs {', '.join(missing)}, "
                "which is not exported yet; deploy a commit that only removes the import first"
            )
    return first


def _templates(assembly: Path) -> dict[str, Any]:
    """The assembly's templates by stack name, in the order of deployment."""
    manifest = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    stacks = {name: entry for name, entry in manifest.items() if entry["type"] == "aws:cloudformation:stack"}
    ordered: dict[str, Any] = {}

    def add(identifier: str) -> None:
        entry = stacks[identifier]
        for dependency in entry.get("dependencies", []):
            if dependency in stacks:
                add(dependency)
        properties = entry["properties"]
        name = properties.get("stackName", identifier)
        if name not in ordered:
            ordered[name] = json.loads((assembly / properties["templateFile"]).read_text())

    for identifier in stacks:
        add(identifier)
    return ordered


def _exports(template: Mapping[str, Any]) -> Iterator[str]:
    for output in template.get("Outputs", {}).values():
        if "Export" in output:
            yield output["Export"]["Name"]


def _imports(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "Fn::ImportValue" in node:
            yield node["Fn::ImportValue"]
        for value in node.values():
            yield from _imports(value)
    elif isinstance(node, list):
        for value in node:
            yield from _imports(value)


def _deployed_exports(formation: Any, stack: str) -> list[str]:
    """Names that a deployed stack exports; none when it is not deployed."""
    try:
        (described,) = formation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return []
        raise
    return [output["ExportName"] for output in described.get("Outputs", []) if "ExportName" in output]


def _importers(formation: Any, export: str) -> list[str]:
    """Deployed stacks that import a value; CloudFormation reports an export without importers as an error."""
    try:
        pages = formation.get_paginator("list_imports").paginate(ExportName=export)
        return [stack for page in pages for stack in page["Imports"]]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError" and "not imported" in error.response["Error"]["Message"]:
            return []
        raise


if __name__ == "__main__":
    for found in release_first(Path(sys.argv[1]), boto3.client("cloudformation")):
        print(found)
