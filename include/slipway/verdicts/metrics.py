"""The figures of a run that are compared with its history: what decides, and what is only watched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slipway.results import Distribution, Measurement
from slipway.spec.judging import VerdictSpec


@dataclass(frozen=True)
class Metric:
    """A figure of a load level. ``read`` gives None where the level has none; ``threshold`` names its key in
    ``verdict`` of the file; what is shown is the figure times ``scale``, in ``unit``. ``limits`` are those that the
    figure depends on: only cells with equal ones are compared by it."""

    name: str
    read: Callable[[Measurement], float | None]
    threshold: str
    unit: str
    scale: float = 1.0
    more_is_better: bool = False
    decides: bool = True
    limits: Callable[[Measurement], object] = lambda _: None

    def threshold_percent(self, limits: VerdictSpec) -> float:
        return float(getattr(limits, self.threshold))


def _p50(distribution: Distribution | None) -> float | None:
    return distribution.p50 if distribution else None


def _p99(distribution: Distribution | None) -> float | None:
    return distribution.p99 if distribution else None


LEVEL_METRICS: Sequence[Metric] = (
    Metric("throughput", lambda cell: cell.output_tokens_per_s, "throughput_percent", "tokens/s", more_is_better=True),
    Metric("TPOT p50", lambda cell: _p50(cell.tpot), "tpot_percent", "ms", 1000),
    Metric(
        "goodput",
        lambda cell: cell.goodput.requests_per_s if cell.goodput else None,
        "goodput_percent",
        "req/s",
        more_is_better=True,
        limits=lambda cell: cell.goodput and cell.goodput.limits,
    ),
    Metric("TTFT p99", lambda cell: _p99(cell.ttft), "p99_percent", "ms", 1000, decides=False),
    Metric("E2E p99", lambda cell: _p99(cell.e2e), "p99_percent", "ms", 1000, decides=False),
)

TIME_TO_READY = Metric("time to ready", lambda _: None, "ready_percent", "s")
"""Of a start of the server, not of a load level."""
