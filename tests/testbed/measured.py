"""Cells for tests: one whose figures do not matter, to be changed where one does; and one with every kind of figure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from slipway.results.measurement import Distribution, Measurement
from slipway.store import Point


def flat(seconds: float, count: int = 100) -> Distribution:
    """A distribution of equal values."""
    return Distribution(count, *[seconds] * 7)


def measured(**changes: Any) -> Measurement:
    """A valid cell of 100 requests in 10 s, with what ``changes`` names in place of its own."""
    figures: dict[str, Any] = {
        "users": 1,
        "spawn_rate": 1.0,
        "processes": 1,
        "started_at": 0.0,
        "window_s": 10.0,
        "requests": 100,
        "errors": {},
        "prompt_tokens": 3200,
        "output_tokens": 3200,
        "requests_per_s": 10.0,
        "output_tokens_per_s": 1000.0,
        "ttft": flat(0.02),
        "itl": flat(0.02),
        "tpot": flat(0.02),
        "e2e": flat(0.02),
    }
    return Measurement(**figures | changes)


UNEVEN = Distribution(
    count=640, mean=0.21, minimum=0.19, p50=0.2, p90=0.25, p95=0.1 + 0.2, p99=0.4, maximum=1.000000000000001
)
"""Of figures that a careless number type would change."""


def uneven(**changes: Any) -> Measurement:
    """A cell of figures that a careless number type would change, some of them not known."""
    figures: dict[str, Any] = {
        "users": 10,
        "spawn_rate": 2.0,
        "processes": 8,
        "started_at": 1_760_000_000.123456,
        "window_s": 180.000_001,
        "requests": 640,
        "errors": {"timeout": 2},
        "prompt_tokens": 20_480,
        "output_tokens": 2**40,
        "requests_per_s": 3.5555555555555554,
        "output_tokens_per_s": 227.55555555555554,
        "ttft": UNEVEN,
        "itl": None,
        "tpot": None,
        "e2e": UNEVEN,
        "reasons": ("little load",),
    }
    return Measurement(**figures | changes)


def point(**figures: Any) -> Point:
    """A valid cell as history has it, with no latency but what ``figures`` names."""
    known: dict[str, Any] = {
        "run_id": 1,
        "revision_id": "0123456789ab",
        "users": 8,
        "rate": 0.0,
        "shape": "",
        "started_at": datetime(2026, 11, 23, 10, 30, tzinfo=UTC),
        "rehearsal": True,
        "validity": "valid",
        "output_tokens_per_s": 1000.0,
        "requests_per_s": 10.0,
    }
    return Point(**dict.fromkeys(Point._fields) | known | figures)
