from __future__ import annotations

import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.results.percentiles import distribution, percentile

VALUES = st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=200)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([1.0], 99, 1.0),
        ([1.0, 2.0], 50, 1.5),
        ([1.0, 2.0, 3.0, 4.0], 25, 1.75),
        ([1.0, 2.0, 3.0, 4.0], 90, 3.7),
        ([15.0, 20.0, 35.0, 40.0, 50.0], 40, 29.0),
        ([1.0, 2.0], 0, 1.0),
        ([1.0, 2.0], 100, 2.0),
    ],
)
def test_known_values(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == pytest.approx(expected)


@given(VALUES.filter(lambda values: len(values) > 1))
def test_it_is_the_inclusive_method_of_the_standard_library(values: list[float]) -> None:
    ordered = sorted(values)
    cuts = statistics.quantiles(ordered, n=100, method="inclusive")
    assert [percentile(ordered, each) for each in range(1, 100)] == pytest.approx(cuts)


@given(VALUES)
def test_a_distribution_is_in_order_and_does_not_depend_on_it(values: list[float]) -> None:
    found = distribution(reversed(values))
    assert found == distribution(iter(values))
    assert found is not None
    ascending = [found.minimum, found.p50, found.p90, found.p95, found.p99, found.maximum]
    assert ascending == sorted(ascending)
    assert found.count == len(values)
    assert found.mean == pytest.approx(statistics.fmean(values))


@given(st.lists(st.sampled_from([0.001, 0.002, 0.5, 3.0]), min_size=1, max_size=200))
def test_values_that_were_counted_are_those_values(values: list[float]) -> None:
    ordered, found = sorted(values), distribution(Counter(values))
    assert found is not None
    assert (found.count, found.minimum, found.maximum) == (len(values), ordered[0], ordered[-1])
    assert (found.p50, found.p99) == (percentile(ordered, 50), percentile(ordered, 99))
    assert found.mean == pytest.approx(statistics.fmean(values))


def test_nothing_has_no_distribution() -> None:
    assert distribution([]) is None
    assert distribution({}) is None
