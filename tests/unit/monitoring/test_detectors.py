"""The registry of detectors: its entries, that they all run, and that signals do not change."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftless.definition.operation import Monitoring
from driftless.modelling.column_profile import (
    HiddenProfile,
    NumberProfile,
    Profile,
    profile_categories,
    profile_numbers,
)
from driftless.modelling.intervals import Interval
from driftless.modelling.metrics import measure
from driftless.monitoring.detectors import DETECTORS, ColumnDetector, Comparison, OutcomeDetector
from driftless.monitoring.detectors.harm import harm_signal
from driftless.monitoring.drift import compare, compare_all, judge
from driftless.monitoring.performance import Performance
from driftless.records import Signal
from infra.packaging import prune
from tests.unit.monitoring.columns import WINDOWS, profiles
from tests.unit.monitoring.conftest import Monitored, binary, inputs

COLUMN_DETECTORS = [detector for detector in DETECTORS if isinstance(detector, ColumnDetector)]
PROFILES: dict[str, Profile] = {
    "number": profile_numbers(np.arange(100.0)),
    "constant number": profile_numbers(np.full(100, 7.0)),
    "category": profile_categories(["a", "b"] * 50),
    "constant category": profile_categories(["a"] * 100),
    "more categories than are counted": profile_categories([f"c{row}" for row in range(1000)]),
    "empty": profile_numbers(np.full(100, np.nan)),
}
GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden_signals.json").read_text())


def applying(profile: Profile) -> list[str]:
    """Names of the detectors that apply to a column."""
    return [d.name for d in COLUMN_DETECTORS if isinstance(profile, d.kinds) and d.applies(profile)]


class LargestValue(ColumnDetector[NumberProfile]):
    """A detector that is not registered."""

    name = "largest"
    kinds = (NumberProfile,)

    def test(self, column: str, reference: NumberProfile, current: NumberProfile) -> Comparison | None:
        grown = (current.maximum or 0.0) > 2 * (reference.maximum or 0.0)
        return Comparison(column, self, 0.0, 9.0 if grown else 0.0, 0.0, "largest value doubled")


class BrierScore(OutcomeDetector):
    """An outcome detector that is not registered."""

    name = "calibration"

    def test(self, performance: Performance) -> Signal:
        assert performance.outcomes is not None
        value = measure("brier", performance.outcomes.scored)
        assert len(performance.outcomes.days) == len(performance.outcomes.scored)
        return Signal(name=self.name, level=2 if value > 0.3 else 0, statistic="brier", value=value, threshold=0.3, reason="")


def test_names_are_unique() -> None:
    names = [detector.name for detector in DETECTORS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("detector", COLUMN_DETECTORS, ids=lambda detector: detector.name)
def test_every_column_detector_applies_to_a_profile(detector: ColumnDetector[Any]) -> None:
    assert any(detector.name in applying(profile) for profile in PROFILES.values())


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("number", ["nulls", "ks"]),
        ("constant number", ["nulls", "ks", "dominant"]),
        ("category", ["nulls", "chi2", "unseen"]),
        ("constant category", ["nulls", "chi2", "unseen", "dominant"]),
        ("more categories than are counted", ["nulls", "chi2"]),
        ("empty", ["nulls", "ks"]),
    ],
)
def test_the_training_profile_decides_which_detectors_apply(column: str, expected: list[str]) -> None:
    assert applying(PROFILES[column]) == expected


def test_columns_of_personal_data_are_not_compared() -> None:
    before, after = HiddenProfile(rows=100, nulls=0), HiddenProfile(rows=100, nulls=100)
    assert compare("name", before, after) == []
    assert compare_all({"name": before}, {"name": after}) == []


def test_an_added_column_detector_runs_and_is_judged() -> None:
    planted = LargestValue()
    before, after = profile_numbers(np.arange(100.0)), profile_numbers(np.arange(300.0), profile_numbers(np.arange(100.0)).edges)
    found = compare("x", before, after, (*DETECTORS, planted))
    assert [item.test for item in found] == ["ks", "largest"]
    (signal,) = judge(found, Monitoring())
    assert (signal.level, signal.statistic, signal.value, signal.threshold) == (2, "psi:largest", 9.0, 0.25)
    assert signal.reason == "largest value doubled; stability index 9.000 beyond chance, corrected p 0"
    assert compare("x", PROFILES["category"], PROFILES["category"], (planted,)) == []


def test_added_detectors_raise_the_levels_of_a_report(monitored: Callable[..., Monitored]) -> None:
    case = monitored(reference=0.56, drifted_share=0.1)
    generator = np.random.default_rng(5)
    columns, chances = inputs(generator, 1000), generator.beta(2, 5, 1000)
    columns["temp"][0] = 1000.0
    case.label(case.predict(columns, binary(chances)), (generator.random(1000) < 0.95).tolist())
    plain = case.judge()
    case.detectors = (LargestValue(), BrierScore())
    record = case.judge()
    assert {item.statistic for item in record.signals} == {"psi:largest", "brier"}
    assert (plain.drift_level, record.drift_level, record.harm_level) == (0, 2, 2)
    assert record.signals[0].name == "calibration", "outcomes come first"
    case.detectors = ()
    assert [case.judge().drift_level, case.judge().harm_level] == [0, 0]


@pytest.mark.parametrize("window", range(WINDOWS))
def test_signals_of_random_columns_do_not_change(window: int) -> None:
    """The expected values were written by the code before detectors were classes."""
    expected = GOLDEN["windows"][window]
    found = compare_all(*profiles(window))
    assert [(item.column, item.test, item.detail) for item in found] == [
        (column, test, detail) for column, test, *_, detail in expected["comparisons"]
    ]
    measured = [(item.statistic, item.index, item.p) for item in found]
    assert np.array(measured) == pytest.approx(np.array([item[2:5] for item in expected["comparisons"]]), rel=1e-7, abs=1e-12)
    signals = judge(found, Monitoring(significance=0.05))
    assert [signal.model_dump(exclude={"value"}) for signal in signals] == [
        {name: value for name, value in signal.items() if name != "value"} for signal in expected["signals"]
    ]
    assert [signal.value for signal in signals] == pytest.approx([signal["value"] for signal in expected["signals"]])


@pytest.mark.parametrize("case", GOLDEN["harm"])
def test_signals_of_harm_do_not_change(case: dict[str, Any]) -> None:
    signal = harm_signal(case["metric"], Interval(*case["interval"]), case["expected"], case["margin"])
    assert signal.model_dump(mode="json") == case["signal"]


def test_scipy_stats_is_imported_only_when_a_test_needs_it() -> None:
    """It would double the processor time of a cold start."""
    source = "import sys, driftless.entrypoint.monitoring; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0


def test_layers_keep_what_scipy_stats_imports(tmp_path: Path) -> None:
    """No handler imports it at its start, so a layer without it would fail in some windows only."""
    source = "import json, sys, scipy.stats; print(json.dumps([getattr(m, '__file__', None) for m in sys.modules.values()]))"
    run = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    loaded = [Path(file) for file in json.loads(run.stdout) if file and "site-packages" in file]
    copies = [tmp_path / str(file).partition("site-packages/")[2] for file in loaded]
    for copy in copies:
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    prune(tmp_path)
    assert len(copies) > 500
    assert [copy for copy in copies if not copy.exists()] == []
