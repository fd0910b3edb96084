"""Stacks that stop importing a value are deployed before the stack that stops exporting it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.release_order import release_first


def refused(message: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "any")


class Formation:
    """CloudFormation with deployed stacks: what each exports, and which stacks import each export."""

    def __init__(self, exports: dict[str, Sequence[str]], imports: dict[str, Sequence[str]]) -> None:
        self._exports, self._imports = exports, imports

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        if StackName not in self._exports:
            raise refused(f"Stack with id {StackName} does not exist")
        named = [{"OutputKey": name, "ExportName": name} for name in self._exports[StackName]]
        return {"Stacks": [{"Outputs": [*named, {"OutputKey": "Url"}]}]}

    def get_paginator(self, operation: str) -> Formation:
        assert operation == "list_imports"
        return self

    def paginate(self, *, ExportName: str) -> Iterator[dict[str, Any]]:
        if not self._imports.get(ExportName):
            raise refused(f"Export '{ExportName}' is not imported by any stack.")
        for stack in self._imports[ExportName]:
            yield {"Imports": [stack]}


def assembly(folder: Path, **stacks: tuple[Sequence[str], Sequence[str]]) -> Path:
    """An assembly of stacks, each with the names that it exports and imports; each depends on those before it."""
    artifacts: dict[str, Any] = {"Tree": {"type": "cdk:tree"}}
    for name, (exports, imports) in reversed(stacks.items()):
        template = {
            "Outputs": {f"O{place}": {"Value": "v", "Export": {"Name": export}} for place, export in enumerate(exports)},
            "Resources": {"R": {"Properties": {"Names": [{"Fn::ImportValue": wanted} for wanted in imports]}}},
        }
        (folder / f"{name}.json").write_text(json.dumps(template))
        before = [*stacks][: [*stacks].index(name)]
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "properties": {"templateFile": f"{name}.json", "stackName": f"driftless-{name}"},
            "dependencies": [*before, f"{name}.assets"],
        }
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return folder


DEPLOYED = Formation(
    {"driftless-data": ["table", "events"], "driftless-pipeline": ["machine"], "driftless-monitoring": []},
    {
        "table": ["driftless-pipeline", "driftless-monitoring"],
        "events": ["driftless-pipeline", "driftless-monitoring"],
        "machine": ["driftless-monitoring"],
    },
)


def test_nothing_goes_first_while_every_export_stays(tmp_path: Path) -> None:
    same = assembly(tmp_path, data=(["table", "events"], []), pipeline=(["machine"], ["table"]), monitoring=([], ["machine"]))
    assert release_first(same, DEPLOYED) == []


def test_importers_of_a_removed_export_go_first_the_last_one_before_the_others(tmp_path: Path) -> None:
    less = assembly(tmp_path, data=(["table"], []), pipeline=(["machine"], ["table"]), monitoring=([], ["table", "machine"]))
    assert release_first(less, DEPLOYED) == ["driftless-monitoring", "driftless-pipeline"]


def test_an_export_that_nobody_imports_needs_no_order(tmp_path: Path) -> None:
    unused = Formation({"driftless-data": ["table", "unused"]}, {"table": []})
    assert release_first(assembly(tmp_path, data=([], [])), unused) == []


def test_a_new_stage_needs_no_order(tmp_path: Path) -> None:
    new = assembly(tmp_path, data=(["table"], []), pipeline=(["machine"], ["table"]))
    assert release_first(new, Formation({}, {})) == []


def test_an_importer_that_also_needs_a_new_export_is_refused_by_name(tmp_path: Path) -> None:
    both = assembly(
        tmp_path, data=(["table", "queue"], []), pipeline=(["machine"], ["table", "queue"]), monitoring=([], ["table"])
    )
    with pytest.raises(ValueError, match=r"driftless-pipeline stops importing .* needs queue, which is not exported yet"):
        release_first(both, DEPLOYED)


def test_other_errors_of_cloudformation_pass(tmp_path: Path) -> None:
    class Forbidden(Formation):
        def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DescribeStacks")

    with pytest.raises(ClientError, match="AccessDenied"):
        release_first(assembly(tmp_path, data=([], [])), Forbidden({}, {}))
