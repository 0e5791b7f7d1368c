from __future__ import annotations

import random

import pytest

from slipway.results import Distribution, Measurement, Validity
from slipway.spec.types import VerdictSpec
from slipway.verdicts.judge import Answer, judge


def cell(throughput: float, tpot: float = 0.020, users: int = 10, validity: Validity = Validity.VALID) -> Measurement:
    spread = Distribution(100, tpot, tpot, tpot, tpot, tpot, tpot, tpot)
    return Measurement(
        users=users,
        spawn_rate=1,
        processes=1,
        started_at=0,
        window_s=10,
        requests=100,
        errors={},
        prompt_tokens=0,
        output_tokens=0,
        requests_per_s=1,
        output_tokens_per_s=throughput,
        ttft=spread,
        itl=spread,
        tpot=spread,
        e2e=spread,
        validity=validity,
        reasons=("client CPU 95 %",) if validity is not Validity.VALID else (),
    )


STEADY = {"10 users": [cell(1000), cell(1010), cell(990), cell(1005)]}


@pytest.mark.parametrize(
    ("now", "answer"),
    [
        (cell(1003), Answer.SAME),
        (cell(960), Answer.SAME),
        (cell(900), Answer.WORSE),
        (cell(1100), Answer.BETTER),
        (cell(1000, tpot=0.025), Answer.WORSE),
        (cell(1000, tpot=0.015), Answer.BETTER),
        (cell(1100, tpot=0.025), Answer.WORSE),
    ],
)
def test_against_a_steady_history(now, answer):
    verdict = judge([now], STEADY, VerdictSpec())
    assert verdict.answer is answer
    assert "10 users" in verdict.reason


def test_noise_widens_the_band():
    noisy = {"10 users": [cell(value) for value in (800, 1000, 1200, 900, 1100)]}
    assert judge([cell(850)], noisy, VerdictSpec()).answer is Answer.SAME


@pytest.mark.parametrize("count", [0, 1, 2])
def test_not_enough_history(count):
    verdict = judge([cell(1000)], {"10 users": [cell(1000)] * count}, VerdictSpec())
    assert verdict.answer is Answer.NOT_ENOUGH_HISTORY
    assert str(count) in verdict.reason


def test_every_level_needs_history():
    assert judge([cell(1000), cell(1, users=50)], STEADY, VerdictSpec()).answer is Answer.NOT_ENOUGH_HISTORY
    assert judge([], STEADY, VerdictSpec()).answer is Answer.NOT_ENOUGH_HISTORY


def test_an_invalid_cell_is_no_verdict():
    verdict = judge([cell(10, validity=Validity.INVALID)], STEADY, VerdictSpec())
    assert verdict.answer is Answer.INVALID
    assert "client CPU" in verdict.reason


def test_one_worse_level_decides():
    history = {"10 users": STEADY["10 users"], "50 users": [cell(2000, users=50)] * 3}
    verdict = judge([cell(1200), cell(1500, users=50)], history, VerdictSpec())
    assert verdict.answer is Answer.WORSE
    assert "50 users" in verdict.reason


def test_few_false_alarms_on_pure_noise():
    chance = random.Random(7)
    alarms = 0
    for _ in range(300):
        history = {"10 users": [cell(chance.gauss(1000, 15)) for _ in range(5)]}
        alarms += judge([cell(chance.gauss(1000, 15))], history, VerdictSpec()).answer is not Answer.SAME
    assert alarms <= 3
