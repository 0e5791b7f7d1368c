"""A level that was measured several times: the middle one stands for all, and states how far apart they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from slipway.results.measurement import Measurement, Validity

BEST_FIRST = (Validity.VALID, Validity.SUSPECT, Validity.INVALID)


def middle(cells: Sequence[Measurement]) -> int:
    """Which of the cells has the median throughput among those that may best be believed; of two the lower one."""
    best = min((cell.validity for cell in cells), key=BEST_FIRST.index)
    ranked = sorted((cell.output_tokens_per_s, at) for at, cell in enumerate(cells) if cell.validity is best)
    return ranked[(len(ranked) - 1) // 2][1]


def with_repeats(chosen: Measurement, cells: Sequence[Measurement]) -> Measurement:
    """The chosen cell with the figures of all of them, in the order in which they were measured."""
    medians = {
        f"{name}_p50": [found.p50 for cell in cells if (found := getattr(cell, name))]
        for name in ("ttft", "tpot", "e2e")
    }
    throughput = [cell.output_tokens_per_s for cell in cells]
    return replace(chosen, repeats={"output_tokens_per_s": throughput, **medians})


def spread(values: Sequence[float]) -> float:
    """The largest less the smallest, as a part of the median; 0 where the median is 0."""
    ordered = sorted(values)
    median = ordered[(len(ordered) - 1) // 2]
    return (ordered[-1] - ordered[0]) / median if median else 0.0
