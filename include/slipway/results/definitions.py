"""TTFT, ITL, TPOT, E2E latency of one request, and its share of a window. ``docs/metrics.md`` has the formulas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from slipway.results.rows import Row

NS = 1e9


def ttft_s(row: Row) -> float:
    return (row.first_token_ns - row.sent_ns) / NS


def e2e_s(row: Row) -> float:
    return (row.last_token_ns - row.sent_ns) / NS


def tpot_s(row: Row) -> float | None:
    """None where no token came after the first ones."""
    later = row.output_tokens - row.first_tokens
    return (row.last_token_ns - row.first_token_ns) / NS / later if later > 0 else None


def counted_exactly(row: Row) -> bool:
    """Whether the tokens counted on the way are those of ``usage``; only then does each gap have its true tokens."""
    return row.counted_tokens == row.output_tokens


def itl_s(row: Row) -> Iterator[float]:
    """One value a token after the first: tokens that came together share their gap equally."""
    if not row.gap_tokens:
        yield from (gap / 1e6 for gap in row.gaps_us)
        return
    for gap, tokens in zip(row.gaps_us, row.gap_tokens, strict=True):
        yield from (gap / tokens / 1e6 for _ in range(tokens))


def counted_itl_s(rows: Iterable[Row]) -> Counter[float]:
    """How often each ITL was seen: many gaps are the same number of microseconds."""
    told = list(rows)
    alone = Counter(chain.from_iterable(row.gaps_us for row in told if not row.gap_tokens))
    counted = Counter({gap / 1e6: count for gap, count in alone.items()})
    for row in told:
        if row.gap_tokens:
            counted.update(itl_s(row))
    return counted


def tokens_between(row: Row, start_ns: int, end_ns: int) -> int:
    """How many output tokens arrived from ``start_ns`` up to, not at, ``end_ns``."""
    if not row.first_token_ns or row.first_token_ns >= end_ns or row.last_token_ns < start_ns:
        return 0
    if start_ns <= row.first_token_ns and row.last_token_ns < end_ns:
        return row.output_tokens or row.counted_tokens
    moment, count = row.first_token_ns, row.first_tokens if row.first_token_ns >= start_ns else 0
    for gap, tokens in zip(row.gaps_us, row.gap_tokens or [1] * len(row.gaps_us), strict=True):
        moment += gap * 1000
        if start_ns <= moment < end_ns:
            count += tokens
    return count


def busy_ns(row: Row, start_ns: int, end_ns: int) -> int:
    """How long the request was under way inside the window."""
    return max(0, min(row.ended_ns, end_ns) - max(row.sent_ns, start_ns)) if row.sent_ns else 0
