"""cdk-nag's AwsSolutions pack over the prod stage: every finding is printed, and no new kind may appear."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.infra.conftest import ROOT, synthesise

# Kinds of finding that are left, with the reason why each is as it is meant to be.
KNOWN = {
    "AwsSolutions-IAM5[Resource::*]": "tracing, metrics and log delivery know no resources",
    "AwsSolutions-IAM5[Resource::<prefix>/*]": "objects below one prefix of one bucket",
    "AwsSolutions-IAM5[Resource::<landing>/*]": "validation reads whatever file landed",
    "AwsSolutions-SQS3": "these queues are the dead-letter queues",
    "AwsSolutions-APIG2": "the functions validate requests, and their responses name the field",
    "AwsSolutions-COG4": "requests are signed with IAM, not by a Cognito pool",
}


def kind(rule: str) -> str:
    """A finding's rule with the bucket of a single prefix left out; a whole bucket stays a kind of its own, but for landing."""
    rule = re.sub(r"\[Resource::[^/]*/[a-z]+/\*\]$", "[Resource::<prefix>/*]", rule)
    return re.sub(r"\[Resource::[^/]*BucketsLanding[^/]*/\*\]$", "[Resource::<landing>/*]", rule)


def test_only_known_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from aws_cdk import App, Validations
    from cdk_nag import AwsSolutionsChecks

    def check(app: App) -> None:
        Validations.of(app).add_plugins(AwsSolutionsChecks(app))

    # A finding of severity error makes synth fail after it wrote its report.
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        synthesise("prod", tmp_path, ROOT / "projects", check)
    (report,) = json.loads((tmp_path / "out" / "validation-report.json").read_text())["pluginReports"]
    found: Counter[str] = Counter()
    for violation in report["violations"]:
        found[kind(violation["ruleName"])] += len(violation["violatingConstructs"])
    with capsys.disabled():
        print("\ncdk-nag AwsSolutions, prod:", ", ".join(f"{name} {count}" for name, count in sorted(found.items())))
    assert set(found) == set(KNOWN)
    assert not any("Action::" in violation["ruleName"] for violation in report["violations"])
