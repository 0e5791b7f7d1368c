"""Two runs side by side: how every figure differs, and how many times the noise of the history that is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from slipway.results import Validity
from slipway.spec.judging import VerdictSpec
from slipway.store import Point
from slipway.verdicts.judge import LEAST_HISTORY
from slipway.verdicts.noise import pair_limit_percent

RATES = ("output_tokens_per_s", "requests_per_s")
"""More of these is better, less of every other figure."""

FIGURES = {
    **dict.fromkeys(RATES, "throughput_percent"),
    **{f"{metric}_p50": "tpot_percent" for metric in ("ttft", "itl", "tpot", "e2e")},
    **{f"{metric}_p99": "p99_percent" for metric in ("ttft", "itl", "tpot", "e2e")},
}
"""Fields of a point that are compared, each with the key of ``verdict`` that is its threshold."""

Load = tuple[int, float, str]


@dataclass(frozen=True)
class Difference:
    """From the first run to another one, at one load."""

    figure: str
    users: int
    rate: float
    shape: str
    percent: float
    better: bool
    """Whether it went the better way, be it noise or not."""
    limit_percent: float | None = None
    """A smaller difference is noise; None where the history is too short to say."""


def differences(
    first: Iterable[Point], other: Iterable[Point], history: Iterable[Point], limits: VerdictSpec
) -> list[Difference]:
    """At every load that both have measured, but for invalid cells. Of ``history``, valid cells say what is noise."""
    found = list(_comparisons(first, other))
    earlier = _by_load(point for point in history if point.validity == Validity.VALID)
    return [_difference(*each, earlier, limits, len(found)) for each in found]


def _comparisons(first: Iterable[Point], other: Iterable[Point]) -> Iterator[tuple[str, Point, Point]]:
    """Figures that can be compared, with the two cells that have them."""
    before, after = (
        _by_load(point for point in points if point.validity != Validity.INVALID) for points in (first, other)
    )
    for load in before.keys() & after.keys():
        was, now = before[load][-1], after[load][-1]
        yield from ((name, was, now) for name in FIGURES if getattr(was, name) and getattr(now, name) is not None)


def _difference(
    name: str, was: Point, now: Point, earlier: Mapping[Load, Sequence[Point]], limits: VerdictSpec, comparisons: int
) -> Difference:
    percent = 100 * (getattr(now, name) / getattr(was, name) - 1)
    cells = earlier.get((now.users, now.rate, now.shape), ())
    values = [value for cell in cells if (value := getattr(cell, name)) is not None]
    threshold = float(getattr(limits, FIGURES[name]))
    limit = pair_limit_percent(values, threshold, comparisons) if len(values) >= LEAST_HISTORY else None
    return Difference(name, now.users, now.rate, now.shape, percent, (percent > 0) == (name in RATES), limit)


def _by_load(points: Iterable[Point]) -> dict[Load, list[Point]]:
    found: dict[Load, list[Point]] = {}
    for point in points:
        found.setdefault((point.users, point.rate, point.shape), []).append(point)
    return found
