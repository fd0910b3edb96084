"""How the bench separates computing from waiting."""

from __future__ import annotations

from tests.bench.on_cloud import Report, busy


def ran(began: float, ended: float) -> Report:
    return Report(began, ended, 100.0)


def test_what_runs_side_by_side_counts_once() -> None:
    assert busy([ran(5, 9), ran(1, 3), ran(2, 4)], 0, 10) == 7
    assert busy([ran(1, 9), ran(2, 3)], 0, 10) == 8


def test_what_other_runs_did_does_not_count() -> None:
    assert busy([ran(-5, 2), ran(9, 20), ran(30, 40)], 0, 10) == 3
    assert busy([], 0, 10) == 0
