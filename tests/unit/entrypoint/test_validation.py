"""What validation publishes about a file's rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftless.entrypoint.validation import measure
from driftless.records import Ref, SourceObject, ValidationRecord
from local_cloud.mends.emf import extract

SOURCE = SourceObject(bucket="landing", key="flights/flights/a.csv", version_id="v1", sha256="0" * 64, size=10)


def record(status: Any, accepted: int, quarantined: int) -> ValidationRecord:
    return ValidationRecord(
        status=status,
        project="flights",
        dataset="flights",
        source=SOURCE,
        rows=accepted + quarantined,
        accepted_rows=accepted,
        quarantined_rows=quarantined,
        staged=None,
        quarantine=None,
        report=Ref(key="reports/a.json", sha256="0" * 64, size=1),
        rules=[],
        reasons=[],
    )


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (record("accepted", 90, 10), {"AcceptedRows": 90, "QuarantinedRows": 10, "RejectedFiles": 0}),
        (record("rejected", 0, 10), {"AcceptedRows": 0, "QuarantinedRows": 0, "RejectedFiles": 1}),
    ],
)
def test_rows_taken_and_set_aside_are_metrics_of_the_project(
    found: ValidationRecord, wanted: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    measure(found, "local")
    measure(found, "local")
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first)["_aws"]
    for line in (first, second):
        published = extract(line)
        assert {name: values for _, name, _, _, _, values in published} == {name: [float(v)] for name, v in wanted.items()}
        assert {namespace for namespace, *_ in published} == {"Driftless"}
        assert all(d == {"Stage": "local", "Project": "flights", "service": "validation"} for _, _, d, *_ in published)
