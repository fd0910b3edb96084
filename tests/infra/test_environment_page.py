"""The table of variables in docs/environment.md equals the environments in the template."""

from __future__ import annotations

import re

from infra.functions import FUNCTIONS
from tests.infra.conftest import ROOT, Synth


def documented() -> dict[str, set[str]]:
    """Functions by variable, from the table under "What functions get"."""
    text = (ROOT / "docs/environment.md").read_text().split("## What functions get")[1].split("\n## ")[0]
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 5 or "`" not in cells[1]:
            continue
        who = set(FUNCTIONS) if cells[2] == "all" else set(cells[2].split(", "))
        found |= dict.fromkeys(re.findall(r"`(\w+)`", cells[1]), who)
    return found


def test_the_table_equals_the_template(local: Synth) -> None:
    deployed: dict[str, set[str]] = {}
    for folder in FUNCTIONS:
        function = local.properties("AWS::Lambda::Function", f"{folder.title()}Function")
        for name in function["Environment"]["Variables"]:
            deployed.setdefault(name, set()).add(folder)
    assert documented() == deployed
