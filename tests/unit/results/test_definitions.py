from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from slipway.results import definitions
from slipway.results.rows import Row

MS = 1_000_000
Make = Callable[..., Row]


def test_the_definitions_of_one_request(row: Make) -> None:
    one = row()
    assert definitions.ttft_s(one) == pytest.approx(0.100)
    assert definitions.e2e_s(one) == pytest.approx(0.160)
    assert definitions.tpot_s(one) == pytest.approx(0.020)
    assert list(definitions.itl_s(one)) == pytest.approx([0.020] * 3)
    assert definitions.e2e_s(one) == pytest.approx(definitions.ttft_s(one) + sum(definitions.itl_s(one)))


def test_tokens_in_one_event_share_its_gap(row: Make) -> None:
    one = row(gaps_us=[30_000, 20_000], gap_tokens=[3, 1], output_tokens=5, counted_tokens=5, last_token_ns=1150 * MS)
    assert list(definitions.itl_s(one)) == pytest.approx([0.010] * 3 + [0.020])
    assert definitions.tpot_s(one) == pytest.approx(0.050 / 4)


def test_tokens_that_came_with_the_first_are_not_in_tpot(row: Make) -> None:
    assert definitions.tpot_s(row(first_tokens=2)) == pytest.approx(0.060 / 2)


def test_one_token_has_no_tpot(row: Make) -> None:
    assert definitions.tpot_s(row(output_tokens=1, gaps_us=[], last_token_ns=1100 * MS)) is None


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "tokens"),
    [(0, 2000, 4), (1100, 1160, 3), (1100, 1161, 4), (1101, 1140, 1), (1120, 1141, 2), (1161, 2000, 0), (0, 1100, 0)],
)
def test_tokens_are_counted_where_they_arrived(row: Make, start_ms: int, end_ms: int, tokens: int) -> None:
    assert definitions.tokens_between(row(), start_ms * MS, end_ms * MS) == tokens


def test_every_token_is_in_exactly_one_of_two_windows(row: Make) -> None:
    one = row(gaps_us=[30_000, 30_000], gap_tokens=[2, 1], first_tokens=2, output_tokens=5, counted_tokens=5)
    for cut_ms in range(1090, 1170):
        halves = [(0, cut_ms * MS), (cut_ms * MS, 3000 * MS)]
        assert sum(definitions.tokens_between(one, *half) for half in halves) == 5


def test_a_failed_request_counts_what_had_come(row: Make) -> None:
    one = row(error="connect_reset", output_tokens=0, counted_tokens=3, gaps_us=[20_000] * 2, last_token_ns=1140 * MS)
    assert definitions.tokens_between(one, 0, 3000 * MS) == 3
    nothing = row(error="timeout", first_token_ns=0, last_token_ns=0, output_tokens=0, counted_tokens=0, gaps_us=[])
    assert definitions.tokens_between(nothing, 0, 3000 * MS) == 0


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "busy_ms"), [(0, 2000, 161), (1050, 1100, 50), (0, 1000, 0), (1161, 9999, 0)]
)
def test_how_long_a_request_was_under_way(row: Make, start_ms: int, end_ms: int, busy_ms: int) -> None:
    assert definitions.busy_ns(row(), start_ms * MS, end_ms * MS) == busy_ms * MS


def test_a_request_that_was_never_sent_was_not_under_way(row: Make) -> None:
    assert definitions.busy_ns(row(sent_ns=0, error="connect_refused"), 0, 9999 * MS) == 0


def test_counted_exactly_means_as_usage_says(row: Make) -> None:
    assert definitions.counted_exactly(row())
    assert not definitions.counted_exactly(row(counted_tokens=3))


def test_counted_gaps_are_the_gaps_of_all_rows(row: Make) -> None:
    alone = row(gaps_us=[20_000, 20_000, 10_000], gap_tokens=[])
    together = row(gaps_us=[20_000, 9_000], gap_tokens=[2, 3])
    rows = [alone, together, alone]
    assert definitions.counted_itl_s(rows) == Counter(gap for each in rows for gap in definitions.itl_s(each))
