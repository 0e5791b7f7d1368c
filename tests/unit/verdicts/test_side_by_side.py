"""Two runs side by side: what is noise, what is more, and what nobody can say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from testbed.measured import point

from slipway.spec.judging import VerdictSpec
from slipway.store import Point
from slipway.verdicts.side_by_side import Difference, differences


def cell(**figures: Any) -> Point:
    return point(**{"ttft_p50": 0.2, "ttft_p99": 0.5, **figures})


CELL = cell()
HISTORY = [cell(output_tokens_per_s=1000.0 + each) for each in (-20, -10, 0, 10, 20)]


def found(other: Point, history: Sequence[Point] = HISTORY) -> dict[str, Difference]:
    return {each.figure: each for each in differences([CELL], [other], history, VerdictSpec())}


def test_every_figure_that_both_have_is_told() -> None:
    assert set(found(CELL)) == {"output_tokens_per_s", "requests_per_s", "ttft_p50", "ttft_p99"}


def test_a_small_difference_is_within_the_noise_and_a_large_one_is_not() -> None:
    small, large = (found(CELL._replace(output_tokens_per_s=each))["output_tokens_per_s"] for each in (1030.0, 700.0))
    assert small.limit_percent is not None
    assert large.limit_percent is not None
    assert abs(small.percent) < small.limit_percent
    assert abs(large.percent) > 2 * large.limit_percent
    assert large.percent == pytest.approx(-30)


def test_less_latency_is_better_and_less_throughput_is_worse() -> None:
    other = CELL._replace(output_tokens_per_s=700.0, ttft_p50=0.1)
    assert (found(other)["ttft_p50"].better, found(other)["output_tokens_per_s"].better) == (True, False)


def test_a_short_history_says_nothing_of_noise() -> None:
    assert found(CELL, HISTORY[:2])["requests_per_s"].limit_percent is None
    assert found(CELL, [])["requests_per_s"].limit_percent is None


def test_an_invalid_cell_and_a_load_that_one_lacks_are_not_compared() -> None:
    assert found(CELL._replace(validity="invalid")) == {}
    assert found(CELL._replace(users=16)) == {}


def test_only_valid_cells_of_the_history_say_what_is_noise() -> None:
    doubted = [each._replace(validity="suspect") for each in HISTORY]
    assert found(CELL, doubted)["requests_per_s"].limit_percent is None
