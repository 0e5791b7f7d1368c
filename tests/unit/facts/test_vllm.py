"""Whether an engine hangs, from looks at it."""

from __future__ import annotations

import pytest

from slipway.facts.vllm import Pulse, wedged

SILENT = Pulse(None, 15.0, True, (40.0, 40.0))


def pulse(status: int | None = None, *, healthy: bool = True, tokens=(40.0, 40.0)) -> Pulse:
    return Pulse(status, 15.0, healthy, tokens)


@pytest.mark.parametrize(
    ("pulses", "verdict"),
    [
        ([], False),
        ([SILENT] * 2, False),
        ([SILENT] * 3, True),
        ([pulse(200), *[SILENT] * 3], True),
        ([SILENT, pulse(200), SILENT], False),
        ([SILENT, SILENT, pulse(500)], False),  # an error is an answer
        ([SILENT, SILENT, pulse(tokens=(40.0, 41.0))], False),  # saturated: it works
        ([pulse(tokens=(39.0, 39.0)), SILENT, SILENT], False),  # it counted between two looks
        ([SILENT, SILENT, pulse(healthy=False)], False),  # that is another fault
        ([pulse(tokens=(None, None))] * 3, False),  # nothing is known
        ([SILENT, SILENT, pulse(tokens=(40.0, None))], False),
    ],
)
def test_three_misses_with_a_counter_that_stands(pulses, verdict):
    assert wedged(pulses) is verdict


def test_within_a_minute():
    from slipway.facts.vllm import ASIDE_S, MISSES, PULSE_S

    assert MISSES * (PULSE_S + ASIDE_S) < 60
