"""Rows of requests that went as a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slipway.results.rows import Row

MS = 1_000_000


def make_row(**changes: Any) -> Row:
    """A request of 4 tokens: sent at 1,000 ms, first token at 1,100 ms, then one each 20 ms; over at 1,161 ms."""
    usual: dict[str, Any] = {"id": "r", "user": 0, "error": "", "detail": "", "status": 200, "connect_us": 0}
    usual |= {"scheduled_ns": 1000 * MS, "sent_ns": 1000 * MS, "first_event_ns": 1100 * MS, "received_bytes": 900}
    usual |= {"first_token_ns": 1100 * MS, "first_content_ns": 1100 * MS, "last_token_ns": 1160 * MS}
    usual |= {"ended_ns": 1161 * MS, "gaps_us": [20_000] * 3, "gap_tokens": [], "first_tokens": 1, "late_us": 0}
    usual |= {"first_read_tokens": 1, "merged_tokens": 0, "counted_tokens": 4, "output_tokens": 4}
    usual |= {"prompt_tokens": 12, "asked_prompt_tokens": 9}
    return Row(**(usual | changes))


@pytest.fixture
def row() -> Callable[..., Row]:
    return make_row
