from __future__ import annotations

from collections.abc import Callable

import pytest

from slipway.results.goodput import Goodput, Slo, goodput, keeps
from slipway.results.rows import Row

Make = Callable[..., Row]


@pytest.mark.parametrize(
    ("slo", "kept"),
    [
        (Slo(ttft_s=0.1), True),
        (Slo(ttft_s=0.099), False),
        (Slo(tpot_s=0.02), True),
        (Slo(tpot_s=0.019), False),
        (Slo(e2e_s=0.16), True),
        (Slo(e2e_s=0.159), False),
        (Slo(ttft_s=0.2, tpot_s=0.1, e2e_s=0.1), False),
        (Slo(), True),
    ],
)
def test_every_limit_must_be_kept(row: Make, slo: Slo, kept: bool) -> None:
    """TTFT 100 ms, TPOT 20 ms, E2E 160 ms."""
    assert keeps(row(), slo) is kept


def test_a_failed_request_keeps_nothing_and_one_token_has_no_tpot(row: Make) -> None:
    assert not keeps(row(error="timeout"), Slo())
    assert keeps(row(output_tokens=1), Slo(tpot_s=0.001))


def test_the_share_is_of_all_that_ended(row: Make) -> None:
    ended = [row(), row(), row(error="http_503"), row(first_token_ns=1_150_000_000)]
    found = goodput(ended, Slo(ttft_s=0.12), window_s=4.0)
    assert found == Goodput({"ttft_s": 0.12}, requests=2, share=0.5, requests_per_s=0.5)
    assert goodput([], Slo(ttft_s=0.12), window_s=4.0) == Goodput({"ttft_s": 0.12})


def test_without_limits_there_is_none(row: Make) -> None:
    assert goodput([row()], Slo(), window_s=4.0) is None
