"""Exact percentiles from all values, interpolated linearly between the two nearest ranks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor, fsum

from slipway.results.measurement import Distribution


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value at rank ``(n - 1) * percent / 100`` of ``ordered``, which is ascending and not empty."""
    rank = (len(ordered) - 1) * percent / 100
    below = floor(rank)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    return low + (high - low) * (rank - below)


def distribution(values: Iterable[float]) -> Distribution | None:
    """None where there is no value."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Distribution(
        count=len(ordered),
        mean=fsum(ordered) / len(ordered),
        minimum=ordered[0],
        p50=percentile(ordered, 50),
        p90=percentile(ordered, 90),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
        maximum=ordered[-1],
    )
