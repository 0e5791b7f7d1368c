"""Goodput: how many requests kept every limit that a service promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated

from pydantic import Field

from slipway.results import definitions
from slipway.results.rows import Row

Limit = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, kw_only=True)
class Slo:
    """What a request must keep to count; a limit that is None is kept by all. Seconds."""

    ttft_s: Limit | None = None
    tpot_s: Limit | None = None
    e2e_s: Limit | None = None

    @property
    def limits(self) -> dict[str, float]:
        """Those that are set, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Goodput:
    """Requests that succeeded inside the window and kept all ``limits``: how many, as a share of all, and a second."""

    limits: Mapping[str, float] = field(default_factory=dict)
    requests: int = 0
    share: float = 0.0
    requests_per_s: float = 0.0


def goodput(ended: Sequence[Row], slo: Slo, window_s: float) -> Goodput | None:
    """Of all requests that ended inside the window, failed ones too; None without limits."""
    if not slo.limits:
        return None
    kept = sum(keeps(row, slo) for row in ended)
    return Goodput(slo.limits, kept, kept / len(ended) if ended else 0.0, kept / window_s)


def keeps(row: Row, slo: Slo) -> bool:
    """Whether a request succeeded within every limit. One without a TPOT keeps that limit."""
    if row.error:
        return False
    figures = {"ttft_s": definitions.ttft_s(row), "tpot_s": definitions.tpot_s(row), "e2e_s": definitions.e2e_s(row)}
    return all((value := figures[name]) is None or value <= limit for name, limit in slo.limits.items())
