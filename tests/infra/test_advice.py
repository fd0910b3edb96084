"""The warnings at synthesis."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftless.definition.loading import load_all
from infra.advice import advice
from infra.settings import for_stage
from tests.infra.conftest import ROOT, Synth

FLIGHTS = load_all(ROOT / "projects")["flights"]
KNOWN = {"commit": "0" * 40, "alarm_email": "ops@example.org"}


def warnings(stage: str, **context: str) -> list[str]:
    return [identifier for identifier, _ in advice(for_stage(stage, **context), {"flights": FLIGHTS})]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_stage_in_aws_without_a_commit_or_an_alarm_address_warns(stage: str) -> None:
    assert warnings(stage) == ["driftless:commit", "driftless:alarm_email", "driftless:bake:flights"]
    assert warnings(stage, **KNOWN) == ["driftless:bake:flights"]


def test_the_local_stage_warns_of_nothing() -> None:
    assert warnings("local") == []


def test_a_canary_that_bakes_long_enough_does_not_warn() -> None:
    long = FLIGHTS.model_copy(update={"serving": FLIGHTS.serving.model_copy(update={"bake_seconds": 180})})
    assert list(advice(for_stage("prod", **KNOWN), {"flights": long})) == []


def test_a_warning_reaches_the_command_line(prod: Synth) -> None:
    manifest = Path(prod.folder, "manifest.json").read_text() + "".join(
        path.read_text() for path in Path(prod.folder).glob("*.metadata.json")
    )
    assert "bake_seconds = 5" in manifest
