from __future__ import annotations

from dataclasses import replace

import pytest

from slipway.results.measurement import Distribution, Measurement, Validity
from slipway.results.repeats import middle, spread, with_repeats

SPREAD = Distribution(3, 0.2, 0.1, 0.2, 0.3, 0.3, 0.3, 0.3)
CELL = Measurement(
    users=4,
    spawn_rate=1.0,
    processes=1,
    started_at=5.5,
    window_s=2.0,
    requests=3,
    prompt_tokens=6,
    output_tokens=9,
    requests_per_s=1.5,
    output_tokens_per_s=4.5,
    errors={},
    ttft=SPREAD,
    itl=None,
    tpot=SPREAD,
    e2e=SPREAD,
)


def _cells(*given: tuple[float, Validity]) -> list[Measurement]:
    return [replace(CELL, output_tokens_per_s=rate, validity=validity) for rate, validity in given]


@pytest.mark.parametrize(
    ("cells", "chosen"),
    [
        ([(10, Validity.VALID)], 0),
        ([(10, Validity.VALID), (30, Validity.VALID), (20, Validity.VALID)], 2),
        ([(10, Validity.VALID), (30, Validity.VALID)], 0),
        ([(10, Validity.INVALID), (30, Validity.VALID), (20, Validity.INVALID)], 1),
        ([(10, Validity.INVALID), (30, Validity.SUSPECT), (40, Validity.SUSPECT)], 1),
    ],
)
def test_the_median_of_the_best_stands_for_all(cells: list[tuple[float, Validity]], chosen: int) -> None:
    assert middle(_cells(*cells)) == chosen


def test_it_states_the_figures_of_all() -> None:
    cells = _cells((10, Validity.VALID), (30, Validity.INVALID))
    cells[1] = replace(cells[1], ttft=None)
    found = with_repeats(cells[0], cells)
    assert found.repeats == {
        "output_tokens_per_s": [10, 30],
        "ttft_p50": [0.2],
        "tpot_p50": [0.2, 0.2],
        "e2e_p50": [0.2, 0.2],
    }
    assert replace(found, repeats={}) == cells[0]


def test_the_spread_is_a_part_of_the_median() -> None:
    assert spread([10.0, 12.0, 11.0]) == pytest.approx(2 / 11)
    assert spread([0.0, 0.0]) == 0.0
