from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.results.histogram import PER_DECADE, Histogram, histogram, lower_bound_s, merged

TIMES = st.lists(st.floats(min_value=1e-5, max_value=1e4), max_size=100)


@given(TIMES)
def test_every_value_lies_in_its_bucket(values: list[float]) -> None:
    found = histogram(values)
    counted = [] if found is None else [found.first + at for at, count in enumerate(found.counts) for _ in range(count)]
    for value, bucket in zip(sorted(values), counted, strict=True):
        assert lower_bound_s(bucket) * (1 - 1e-9) <= value <= lower_bound_s(bucket + 1) * (1 + 1e-9)


@given(TIMES, TIMES)
def test_merging_is_counting_all_at_once(some: list[float], others: list[float]) -> None:
    parts = [each for each in (histogram(some), histogram(others)) if each]
    assert merged(parts) == histogram(some + others)


def test_a_bucket_is_a_thirty_second_of_a_decade() -> None:
    assert histogram([1.0, 1.05, 10.0]) == Histogram(0, (2, *[0] * (PER_DECADE - 1), 1))


@pytest.mark.parametrize("value", [0.0, 1e-9, -1e-4])
def test_what_is_no_time_to_speak_of_is_in_the_least_bucket(value: float) -> None:
    assert histogram([value]) == histogram([1e-6])
