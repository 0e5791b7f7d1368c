"""Exact percentiles from all values, interpolated linearly between the two nearest ranks."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import floor, fsum
from typing import Protocol

from slipway.results.measurement import Distribution


def percentile(ordered: Ordered, percent: float) -> float:
    """The value at rank ``(n - 1) * percent / 100`` of ``ordered``, which is ascending and not empty."""
    rank = (len(ordered) - 1) * percent / 100
    below = floor(rank)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    return low + (high - low) * (rank - below)


class Ordered(Protocol):
    """Ascending values, each by its rank."""

    def __len__(self) -> int: ...
    def __getitem__(self, rank: int, /) -> float: ...


class Counted:
    """Values that were counted, as the ascending ones that they are."""

    def __init__(self, counted: Mapping[float, int]) -> None:
        self._values = sorted(counted)
        self._ends = list(accumulate(counted[value] for value in self._values))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, rank: int, /) -> float:
        return self._values[bisect_right(self._ends, rank)]


def distribution(values: Iterable[float] | Mapping[float, int]) -> Distribution | None:
    """Of values, or of how often each was seen; None where there is none."""
    counted = Counter(values)
    if not counted:
        return None
    ordered = Counted(counted)
    return Distribution(
        count=len(ordered),
        mean=fsum(value * count for value, count in counted.items()) / len(ordered),
        minimum=ordered[0],
        p50=percentile(ordered, 50),
        p90=percentile(ordered, 90),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
        maximum=ordered[len(ordered) - 1],
    )
