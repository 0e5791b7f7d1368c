"""Which cells stand apart."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from slipway.store import Point
from slipway.verdicts.outliers import outliers

MOMENT = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)


def point(run_id: int, throughput: float, **others: Any) -> Point:
    plain = {
        "revision_id": "0123456789ab",
        "users": 8,
        "rate": 0.0,
        "shape": "",
        "started_at": MOMENT,
        "rehearsal": True,
    }
    rest = {field.name: None for field in fields(Point)}
    own = {"run_id": run_id, "output_tokens_per_s": throughput, "requests_per_s": 1.0, "validity": "valid"}
    return Point(**{**rest, **plain, **own, **others})


STEADY = [point(number, 1000.0 + number) for number in range(8)]


def test_a_cell_far_from_the_median_of_its_revision_is_named() -> None:
    (found,) = outliers([*STEADY, point(99, 700.0)])
    assert (found.run_id, found.users, found.figure, found.value) == (99, 8, "output_tokens_per_s", 700.0)
    assert 1000 < found.usual < 1008


def test_a_steady_line_has_none_and_a_short_one_cannot_have_one() -> None:
    assert outliers(STEADY) == []
    assert outliers([*STEADY[:3], point(99, 700.0)]) == []


def test_another_revision_or_load_is_another_line() -> None:
    assert outliers([*STEADY, point(99, 700.0, revision_id="ba9876543210")]) == []
    assert outliers([*STEADY, point(99, 700.0, users=16)]) == []


def test_an_invalid_cell_is_no_outlier() -> None:
    assert outliers([*STEADY, point(99, 700.0, validity="invalid")]) == []


def test_latencies_are_looked_at_too() -> None:
    slow = [point(number, 1000.0, e2e_p50=2.0) for number in range(6)]
    (found,) = outliers([*slow, point(99, 1000.0, e2e_p50=4.0)])
    assert (found.figure, found.usual) == ("e2e_p50", 2.0)
