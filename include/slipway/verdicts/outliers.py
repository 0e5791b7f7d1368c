"""Cells that stand apart from the others of their revision and load, by the median and MAD of these. Pure."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slipway.results import Validity
from slipway.spec.judging import VerdictSpec
from slipway.store import Point
from slipway.verdicts.noise import limit_percent

LEAST_CELLS = 5
"""Of fewer cells none stands apart."""

LIMITS = VerdictSpec()
FIGURES = {
    "output_tokens_per_s": LIMITS.throughput_percent,
    **{f"{metric}_p50": LIMITS.tpot_percent for metric in ("ttft", "itl", "tpot", "e2e")},
    **{f"{metric}_{far}": LIMITS.p99_percent for metric in ("ttft", "itl", "tpot", "e2e") for far in ("p95", "p99")},
}
"""What is drawn over time, and the least difference that is named, in percent."""


@dataclass(frozen=True)
class Outlier:
    """One figure of one run's cell, and the median that it is far from."""

    run_id: int
    users: int
    rate: float
    shape: str
    figure: str
    value: float
    usual: float


def outliers(points: Sequence[Point]) -> list[Outlier]:
    """Invalid cells are told as such, and are no outliers."""
    lines = defaultdict(list)
    for point in points:
        if point.validity != Validity.INVALID:
            lines[point.revision_id, point.users, point.rate, point.shape].append(point)
    long = [line for line in lines.values() if len(line) >= LEAST_CELLS]
    return [outlier for line in long for figure in FIGURES for outlier in _apart(line, figure)]


def _apart(line: Sequence[Point], figure: str) -> Iterator[Outlier]:
    values = [(point, getattr(point, figure)) for point in line]
    known = [value for _, value in values if value is not None]
    if len(known) < LEAST_CELLS or not (usual := statistics.median(known)):
        return
    least = FIGURES[figure] / 100 * usual
    if max(known) - usual < least and usual - min(known) < least:
        return
    far = usual * limit_percent(known, FIGURES[figure], len(known)) / 100
    for point, value in values:
        if value is not None and abs(value - usual) >= far:
            yield Outlier(point.run_id, point.users, point.rate, point.shape, figure, value, usual)
