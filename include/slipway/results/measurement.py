"""One cell of a benchmark: a load level and everything that was measured at it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slipway.results.goodput import Goodput
from slipway.results.histogram import Histogram
from slipway.results.series import Series


class Validity(enum.StrEnum):
    """Whether a cell may be believed. An invalid cell is never a baseline."""

    VALID = "valid"
    SUSPECT = "suspect"
    INVALID = "invalid"


@dataclass(frozen=True)
class Distribution:
    """Exact figures of one metric over all requests of a cell, in seconds."""

    count: int
    mean: float
    minimum: float
    p50: float
    p90: float
    p95: float
    p99: float
    maximum: float


@dataclass(frozen=True)
class Measurement:
    """What a load level gave. Times are seconds, rates a second, tokens as the server's ``usage`` counts them.

    ``ttft``, ``itl``, ``tpot`` and ``e2e`` are over the successful requests that ended inside the measured window and
    are None where no request can give them. ``docs/metrics.md`` has the formulas.
    """

    users: int
    """0 in an open loop."""
    spawn_rate: float
    processes: int
    started_at: float
    """Start of the measured window, seconds since the epoch."""
    window_s: float
    """Length of the measured window."""
    requests: int
    """Successful requests that ended inside the window."""
    errors: Mapping[str, int]
    """Failed requests inside the window, by kind."""
    prompt_tokens: int
    output_tokens: int
    requests_per_s: float
    output_tokens_per_s: float
    ttft: Distribution | None
    itl: Distribution | None
    tpot: Distribution | None
    e2e: Distribution | None
    validity: Validity = Validity.VALID
    reasons: tuple[str, ...] = ()
    """Why the cell is suspect or invalid."""
    client: Mapping[str, float] = field(default_factory=dict)
    """The load generator's own health: cpu_share, send_lag_p99_s, late_share."""
    server: Mapping[str, float] = field(default_factory=dict)
    """Differences of the server's own counters over the window (generation_tokens, prefix_cache_hits, ...), and means
    and maxima of its gauges (running_mean, waiting_mean, kv_use_max)."""
    rate: float = 0.0
    """Requests a second that were asked for in an open loop; 0 in a closed one."""
    scheduled: Mapping[str, Distribution] = field(default_factory=dict)
    """``ttft`` and ``e2e`` from the time at which each request was due instead of sent."""
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    """Of ``ttft``, ``itl``, ``tpot`` and ``e2e``, those that have values."""
    goodput: Goodput | None = None
    """None where no limits were given."""
    gpu: Mapping[str, float] = field(default_factory=dict)
    """What the GPUs did and what a million output tokens cost; :mod:`slipway.results.gpus` names the figures."""
    series: Mapping[str, Series] = field(default_factory=dict)
    """``server`` and ``gpus`` over time, where they were looked at."""

    shape: str = ""
    """In words, a load that changes over the window, or a trace; ``users`` or ``rate`` is then its highest, of a trace
    neither."""

    repeats: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Where the level was measured several times: figures of each of them, this one's among them."""

    @property
    def load(self) -> str:
        """The load that was asked for, in words: its shape, ``50 users``, or ``12.5 req/s``."""
        if self.shape:
            return self.shape
        return f"{self.users} users" if self.users else f"{self.rate:g} req/s"
