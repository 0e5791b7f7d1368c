"""A metric's values counted in buckets that are the same in every cell, so that histograms can be added up.

They are for drawing and for merging. Percentiles never come from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor, log10

PER_DECADE = 32
"""Buckets between a time and ten times that: each is 7.5 % wide."""

LEAST_S = 1e-6
"""Shorter times are counted in this one's bucket."""


@dataclass(frozen=True)
class Histogram:
    """``counts[i]`` values lie from 10**((first + i) / 32) up to, not at, 10**((first + i + 1) / 32) seconds."""

    first: int
    counts: tuple[int, ...]


def histogram(values: Iterable[float] | Mapping[float, int]) -> Histogram | None:
    """Of times in seconds, or of how often each was seen; None where there is none."""
    counted: Counter[int] = Counter()
    for value, count in Counter(values).items():  # many gaps are the same number of microseconds
        counted[_bucket(value)] += count
    return _dense(counted)


def merged(histograms: Iterable[Histogram]) -> Histogram | None:
    """All of them as one; None where there is none."""
    total: Counter[int] = Counter()
    for each in histograms:
        total.update({each.first + place: count for place, count in enumerate(each.counts)})
    return _dense(total)


def lower_bound_s(bucket: int) -> float:
    """Where a bucket begins, in seconds."""
    return float(10 ** (bucket / PER_DECADE))


def _bucket(value_s: float) -> int:
    return floor(PER_DECADE * log10(max(value_s, LEAST_S)))


def _dense(counted: Counter[int]) -> Histogram | None:
    if not counted:
        return None
    first, last = min(counted), max(counted)
    return Histogram(first, tuple(counted[bucket] for bucket in range(first, last + 1)))
