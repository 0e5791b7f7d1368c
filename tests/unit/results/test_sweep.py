"""The best cell of a sweep under limits, its front, and its table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from testbed.measured import flat, measured

from slipway.results import Goodput, Measurement, Validity
from slipway.results.sweep import BEST, FRONT, Row, best, broken, chosen, counted, figure, front, summary, told
from slipway.spec.sweep import SweepLimits, SweepSpec

SWEEP = SweepSpec(grid={"serve.backend": ("ray", "mp")}, limits=SweepLimits(ttft_p99_s=0.5))


def cell(rate: float, tpot: float = 0.02, ttft: float = 0.1, **changes) -> Measurement:
    latencies = {"ttft": flat(ttft, 10), "itl": flat(tpot, 10), "tpot": flat(tpot, 10), "e2e": flat(1.0, 10)}
    figures = {"requests": 10, "requests_per_s": rate / 10, "output_tokens_per_s": rate}
    return measured(**{**figures, "prompt_tokens": 10, "output_tokens": 10, **latencies, **changes})


def row(number: int, measured: Measurement | None, state: str = "success", cause: str = "") -> Row:
    return Row(number, f"max-num-seqs={number}", measured.load if measured else "1 users", state, cause, measured)


def test_the_best_keeps_every_limit_and_may_be_believed():
    rows = [
        row(1, cell(100)),
        row(2, cell(150)),
        row(3, cell(900, ttft=0.6)),
        row(4, cell(900, errors={"timeout": 1})),
        row(5, cell(900, validity=Validity.INVALID)),
        row(6, None, "failed", "serve: refused"),
    ]
    assert best(rows, SWEEP) is rows[1]
    assert best(rows[2:], SWEEP) is None
    few = SWEEP.model_copy(update={"limits": SweepLimits(errors=1)})
    assert best(rows[3:], few) is rows[3]


def test_a_latency_is_best_where_it_is_lowest():
    rows = [row(1, cell(100, tpot=0.03)), row(2, cell(90, tpot=0.01)), row(3, cell(95, tpot=0.02))]
    assert best(rows, SWEEP.model_copy(update={"objective": "tpot_p50_s"})) is rows[1]


def test_goodput_is_known_only_with_limits():
    known = cell(100, goodput=Goodput(requests_per_s=3.0, share=0.9, limits={"ttft_s": 1.0}))
    assert (figure(known, "goodput_per_s"), figure(cell(100), "goodput_per_s")) == (3.0, None)
    asked = SWEEP.model_copy(update={"objective": "goodput_per_s"})
    assert best([row(1, cell(100))], asked) is None
    assert best([row(1, cell(100)), row(2, known)], asked).number == 2


def test_a_latency_that_nobody_can_state_is_no_kept_limit():
    assert broken(cell(1, ttft=0.6), SWEEP.limits) == ["ttft_p99_s 0.600 > 0.5"]
    assert broken(cell(1, ttft=0.5), SWEEP.limits) == []
    assert broken(replace(cell(1), ttft=None), SWEEP.limits) == ["ttft_p99_s unknown > 0.5"]


def test_the_front_has_no_row_that_another_beats():
    rows = [
        row(1, cell(100, tpot=0.01)),
        row(2, cell(300, tpot=0.03)),
        row(3, cell(200, tpot=0.03)),  # 2 has more at the same latency
        row(4, cell(90, tpot=0.02)),  # 1 has more at less
        row(5, cell(250, tpot=0.02)),
        row(6, cell(900, tpot=0.01, validity=Validity.INVALID)),
        row(7, replace(cell(500), tpot=None)),
    ]
    found = front(rows, "output_tokens_per_s", "tpot_p50_s")
    assert [each.number for each in found] == [1, 5, 2]


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_its_definition_says(seed):
    import random

    draw = random.Random(seed)
    rows = [row(n, cell(draw.randint(1, 9), tpot=draw.randint(1, 9) / 100)) for n in range(40)]

    def beaten(mine: Row) -> bool:
        much, late = mine.cell.output_tokens_per_s, mine.cell.tpot.p50
        others = [(each.cell.output_tokens_per_s, each.cell.tpot.p50) for each in rows]
        return any(m >= much and t <= late and (m, t) != (much, late) for m, t in others)

    def places(some) -> set:
        return {(each.cell.output_tokens_per_s, each.cell.tpot.p50) for each in some}

    assert places(front(rows, "output_tokens_per_s", "tpot_p50_s")) == places(r for r in rows if not beaten(r))


def test_of_a_load_the_newest_cell_counts_that_may_be_believed():
    old, new, wrong = cell(1), cell(2), cell(3, validity=Validity.INVALID)
    assert chosen([wrong, new, old]) == {"1 users": new}
    assert chosen([wrong]) == {"1 users": wrong}
    assert chosen([cell(4, users=2), old]) == {"2 users": cell(4, users=2), "1 users": old}


def test_the_table_says_all_in_lines():
    rows = [
        row(1, cell(100)),
        row(2, cell(150, tpot=0.05, ttft=0.7)),
        row(3, None, "failed", "serve: refused"),
        row(4, None, ""),
    ]
    lines = list(told(rows, SWEEP))
    assert lines[1].split() == ["1", "max-num-seqs=1", "1", "users", "100.0", "10.00", "100", "20", "1000", "0", BEST]
    assert lines[2].endswith(f"0  {FRONT}, ttft_p99_s 0.700 > 0.5")
    assert lines[3].endswith("FAILED")
    assert lines[4].endswith("not tried")
    assert "best by output_tokens_per_s: point 1 (max-num-seqs=1) at 1 users, 100" in lines
    assert "front of output_tokens_per_s against tpot_p50_s:" in lines
    assert lines[-1] == "point 3 failed: serve: refused"
    assert counted(rows) == "4 points, 2 of 4 cells measured, 1 point failed"


def test_where_none_is_best_it_says_so():
    lines = list(told([row(1, cell(100, ttft=0.7))], SWEEP))
    assert "best by output_tokens_per_s: none, of 1 cells that may be believed none keeps the limits" in lines


def test_the_summary_is_json():
    rows = [row(1, cell(100)), row(2, None, "failed", "ready: no completion")]
    assert summary(rows, SWEEP) == {
        "cells": 2,
        "measured": 1,
        "failed": {"2": "ready: no completion"},
        "objective": "output_tokens_per_s",
        "best": {"point": 1, "settings": "max-num-seqs=1", "load": "1 users", "output_tokens_per_s": 100.0},
        "front": [
            {
                "point": 1,
                "settings": "max-num-seqs=1",
                "load": "1 users",
                "output_tokens_per_s": 100.0,
                "tpot_p50_s": 0.02,
            }
        ],
    }
