"""The demo after an interruption: what the services durably hold is taken for what it is, and nothing is awaited twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from cli.console import Output
from cli.demo import summary
from cli.demo.flights import Month
from cli.demo.journal import Journal
from cli.demo.story import Outcome, Story, monitor_name
from cli.platform import Platform
from tests.unit.cli.fakes import StepFunctions

MAY = Month(5)


def judgement(month: Month, harm: int = 2) -> str:
    """Output of a monitor execution."""
    record = {
        "project": "flights",
        "version": 1,
        "window_start": month.start.isoformat(),
        "window_end": month.end.isoformat(),
        "predictions": 8000,
        "labels": 7000,
        "drift_level": 1,
        "harm_level": harm,
        "metrics": {"log_loss": 0.5678},
        "reference_metrics": {"log_loss": 0.5},
        "signals": [],
        "report": None,
    }
    return json.dumps({"monitoring": record})


def printed(table: Table) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


@pytest.fixture
def out() -> Output:
    return Output(as_json=True)


def test_the_summary_reads_the_rerun_that_succeeded(aws: Platform, states: StepFunctions, tmp_path: Path) -> None:
    states.add("monitor", monitor_name(MAY), "ABORTED")
    states.add("monitor", f"{monitor_name(MAY)}.r2", "SUCCEEDED", output=judgement(MAY))
    shown = printed(summary.months(aws, Journal(aws, "flights", tmp_path), Outcome((MAY,), MAY, None)))
    assert "0.568 (0.500)" in shown


def test_a_month_whose_rerun_was_judged_is_not_served_again(
    aws: Platform, states: StepFunctions, out: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    states.add("monitor", monitor_name(MAY), "ABORTED")
    states.add("monitor", f"{monitor_name(MAY)}.r2", "SUCCEEDED", output=judgement(MAY))
    story = Story(out, [MAY])
    monkeypatch.setattr(story, "push", lambda *_: None)
    monkeypatch.setattr("cli.demo.story.replay", lambda *_: pytest.fail("the month was sent again"))
    record = story.serve(aws, Journal(aws, "flights", tmp_path), MAY, awaits_alarm=True)
    assert (record.harm_level, states.started) == (2, [])
