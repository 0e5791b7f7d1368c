"""Steps and ramps: when requests are due, when users take part."""

from __future__ import annotations

from itertools import count

import pytest

from slipway.results.shape import Step, arrivals_s, length_s, mean, peak, reaches_s

UP = (Step(first=2, last=2, seconds=10), Step(first=2, last=10, seconds=10), Step(first=0, last=0, seconds=5))


def test_the_length_the_mean_and_the_peak() -> None:
    assert (length_s(UP), peak(UP)) == (25, 10)
    assert mean(UP) == pytest.approx((20 + 60) / 25)


def test_evenly_spaced_requests_follow_the_rate() -> None:
    due = list(arrivals_s(UP, (float(number) for number in count())))
    assert len(due) == 80
    assert due[:20] == pytest.approx([number / 2 for number in range(20)])
    assert all(10 <= at < 20 for at in due[20:])
    second_half = [at for at in due if at >= 15]
    assert len(second_half) == pytest.approx((6 + 10) / 2 * 5, abs=1)


def test_a_ramp_down_to_nothing_ends() -> None:
    down = (Step(first=4, last=0, seconds=10),)
    due = list(arrivals_s(down, (float(number) for number in count())))
    assert len(due) == 20
    assert due == sorted(due)
    assert due[-1] < 10


def test_a_step_without_load_holds_its_requests_back() -> None:
    steps = (Step(first=0, last=0, seconds=3), Step(first=1, last=1, seconds=2))
    assert list(arrivals_s(steps, (float(number) for number in count()))) == pytest.approx([3, 4])


def test_a_ramp_from_nothing_begins() -> None:
    due = list(arrivals_s((Step(first=0, last=4, seconds=10),), (float(number) for number in count())))
    assert (len(due), due[0]) == (20, 0.0)
    assert due[5] == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("load", "from_s", "expected"),
    [(2, 0, 0), (2, 4, 4), (6, 0, 15), (6, 17, 17), (6, 20, None), (11, 0, None), (1, 22, None), (10, 0, 20)],
)
def test_when_a_load_is_reached(load: float, from_s: float, expected: float | None) -> None:
    assert reaches_s(UP, load, from_s) == expected


def test_a_ramp_down_is_left_when_it_falls_below() -> None:
    down = (Step(first=4, last=0, seconds=8),)
    assert [reaches_s(down, 2, at) for at in (0, 4, 4.1)] == [0, 4, None]
