"""A round that fails does not end the work."""

from __future__ import annotations

import logging
import threading

import pytest

from local_cloud.mends import ticking


def test_a_round_that_fails_is_told_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    rounds: list[int] = []
    third = threading.Event()

    def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            raise LookupError("the first round breaks")
        if len(rounds) == 3:
            third.set()

    with caplog.at_level(logging.ERROR):
        stop = ticking.every(0.01, work, name="rounds")
        try:
            assert third.wait(60)
        finally:
            stop()
    assert "rounds failed" in caplog.text
    assert "the first round breaks" in caplog.text
