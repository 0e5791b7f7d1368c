"""Which cells stand apart."""

from __future__ import annotations

from typing import Any

from testbed.measured import point

from slipway.store import Point
from slipway.verdicts.outliers import outliers


def cell(run_id: int, throughput: float, **others: Any) -> Point:
    return point(run_id=run_id, output_tokens_per_s=throughput, requests_per_s=1.0, **others)


STEADY = [cell(number, 1000.0 + number) for number in range(8)]


def test_a_cell_far_from_the_median_of_its_revision_is_named() -> None:
    (found,) = outliers([*STEADY, cell(99, 700.0)])
    assert (found.run_id, found.users, found.figure, found.value) == (99, 8, "output_tokens_per_s", 700.0)
    assert 1000 < found.usual < 1008


def test_a_steady_line_has_none_and_a_short_one_cannot_have_one() -> None:
    assert outliers(STEADY) == []
    assert outliers([*STEADY[:3], cell(99, 700.0)]) == []


def test_another_revision_or_load_is_another_line() -> None:
    assert outliers([*STEADY, cell(99, 700.0, revision_id="ba9876543210")]) == []
    assert outliers([*STEADY, cell(99, 700.0, users=16)]) == []


def test_an_invalid_cell_is_no_outlier() -> None:
    assert outliers([*STEADY, cell(99, 700.0, validity="invalid")]) == []


def test_latencies_are_looked_at_too() -> None:
    slow = [cell(number, 1000.0, e2e_p50=2.0) for number in range(6)]
    (found,) = outliers([*slow, cell(99, 1000.0, e2e_p50=4.0)])
    assert (found.figure, found.usual) == ("e2e_p50", 2.0)
