"""The clock of another host: how far ahead it is, by answers that took their time."""

from __future__ import annotations

import time

import pytest

from slipway.errors import LoadTestFailed
from slipway.loadgen import clock
from slipway.loadgen.clock import Clock, Offset, offset


def test_the_true_offset_is_never_outside_its_bound() -> None:
    ahead, there, back = 5_000, 300, 900
    asked = 1_000_000
    found = offset(asked, asked + there - ahead, asked + there + back)
    assert found.bound_ns == 600
    assert abs(found.ahead_ns - ahead) <= found.bound_ns


def test_the_quickest_answer_counts() -> None:
    ways_s = iter([0.02, *[0.002] * (clock.ASKED - 1)])

    def answer(asked: dict[str, int]) -> None:
        time.sleep(next(ways_s))
        mine.take({**asked, "at_ns": time.time_ns() - 10**9})

    mine = Clock(answer)
    found = mine.offset()
    assert found.bound_ns < 10_000_000
    assert abs(found.ahead_ns - 10**9) <= found.bound_ns


def test_no_answer_is_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "ANSWER_S", 0.01)
    with pytest.raises(LoadTestFailed, match="did not say its time"):
        Clock(lambda _: None).offset()


def test_here_nothing_is_ahead() -> None:
    assert Offset() == Offset(0, 0)
