"""Repeated work continues after an exception."""

from __future__ import annotations

import logging
import threading

import pytest

from local_cloud.mends import repeating


def test_an_exception_in_one_round_is_logged_and_the_next_round_runs(caplog: pytest.LogCaptureFixture) -> None:
    rounds: list[int] = []
    third = threading.Event()

    def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            raise LookupError("the first round fails")
        if len(rounds) == 3:
            third.set()

    with caplog.at_level(logging.ERROR):
        stop = repeating.every(0.01, work, name="rounds")
        try:
            assert third.wait(60)
        finally:
            stop()
    assert "rounds failed" in caplog.text
    assert "the first round fails" in caplog.text
