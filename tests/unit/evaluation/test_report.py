"""The JSON of the evaluation report: reports that an earlier release stored are read, and new ones have the same bytes.

The files in ``reports/`` were written by the release that built reports as dictionaries, from the same cases.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from driftless.definition.project import Project
from driftless.errors import IntegrityError
from driftless.evaluation.case import Case
from driftless.evaluation.report import report
from driftless.modelling.evaluation_report import EvaluationReport, encode_report, parse_report
from driftless.modelling.intervals import day_blocks
from driftless.modelling.metrics import Scored
from driftless.records import GateResult, Run
from tests.unit.training.fit import scene

STORED = Path(__file__).parent / "reports"
GATES = [
    GateResult(gate="parity", passed=True, observed=0.0, required="<= 1e-05", reason="equal – in all rows"),
    GateResult(gate="champion", passed=False, observed=None, required="> 0", reason="too few days"),
]


def binary() -> tuple[Project, Case]:
    """With a champion; the primary metric is undefined on the second day and in one slice."""
    truth = np.array([1, 0, 1, 0, 1, 1, 1, 1])
    times = np.datetime64("2024-02-10T06:00:00", "us") + np.arange(8) * np.timedelta64(6, "h")
    colour = np.array(["red", "red", "red", "red", "é", "é", "é", "é"], dtype=object)

    def scored(*positive: float) -> Scored:
        scores = np.array(positive)
        both = np.column_stack([1 - scores, scores])
        return Scored("binary", ("false", "true"), truth, both, (scores > 0.5).astype(np.int64))

    case = Case(
        challenger=scored(0.9, 0.1, 0.8, 0.3, 0.6, 0.7, 0.4, 0.9),
        champion=scored(0.6, 0.4, 0.3, 0.5, 0.6, 0.7, 0.4, 0.2),
        naive=scored(*[0.75] * 8),
        champion_version=4,
        champion_train_end=None,
        naive_metric="auc",
        times=times,
        blocks=day_blocks(times),
        groups={"colour": {name: colour == name for name in ("red", "é")}},
    )
    return scene.project(gates={"primary": "auc", "slices": ["colour"], "protected": ["colour"]}), case


def regression() -> tuple[Project, Case]:
    """Without a champion, slices and protected attributes."""
    truth = np.array([1.0, 2.0, 3.0, 5.0])
    times = np.datetime64("2024-02-10T06:00:00", "us") + np.arange(4) * np.timedelta64(12, "h")

    def scored(*predicted: float) -> Scored:
        return Scored("regression", (), truth, np.array(predicted), np.zeros(4, dtype=np.int64))

    case = Case(
        challenger=scored(1.0, 2.5, 3.0, 4.0),
        champion=None,
        naive=scored(2.5, 2.5, 2.5, 2.5),
        champion_version=None,
        champion_train_end=None,
        naive_metric="mae",
        times=times,
        blocks=day_blocks(times),
        groups={},
    )
    return scene.project("regression"), case


CASES = {"binary": binary, "regression": regression}


def written(name: str) -> EvaluationReport:
    project, case = CASES[name]()
    run = Run(run_id="r1", execution_arn="arn:r1", project="demo")
    return report(project, case, run, GATES, "refuse", ["champion: too few days"])


def rounded(content: bytes) -> bytes:
    """Decimals to nine places: the last ones depend on the CPU's logarithm."""
    return re.sub(rb"-?\d+\.\d+(e-?\d+)?", lambda number: b"%.9f" % float(number[0]), content)


@pytest.mark.parametrize("name", CASES)
def test_a_report_has_the_bytes_that_the_earlier_release_wrote(name: str) -> None:
    stored = (STORED / f"{name}.json").read_bytes()
    assert rounded(encode_report(written(name))) == rounded(stored)


@pytest.mark.parametrize("name", CASES)
def test_a_stored_report_is_read_without_loss(name: str) -> None:
    stored = (STORED / f"{name}.json").read_bytes()
    assert encode_report(parse_report("runs/demo/r1/evaluation/a.json", stored)) == stored


def test_an_undefined_metric_is_null_in_a_slice_and_left_out_of_a_day() -> None:
    found = written("binary")
    assert [part.model_dump() for part in found.slices if part.slice == "colour = é"] == [
        {"slice": "colour = é", "rows": 4, "metric": "auc", "challenger": None, "champion": None, "naive": None}
    ]
    assert [day.model_dump() for day in found.days if day.day == "2024-02-12"] == [{"day": "2024-02-12", "rows": 1}]


def test_keys_of_a_later_release_are_kept() -> None:
    stored = (STORED / "regression.json").read_bytes()
    later = stored.replace(b"{", b'{\n "added": 1,', 1)
    assert encode_report(parse_report("a.json", later)) == later


def test_content_that_is_no_report_is_refused_by_name() -> None:
    with pytest.raises(IntegrityError, match=r"a\.json is no evaluation report this release reads: holdout: "):
        parse_report("a.json", (STORED / "regression.json").read_bytes().replace(b'"holdout"', b'"held_out"'))
