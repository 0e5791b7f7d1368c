from __future__ import annotations

import pytest

from slipway.spec.judging import RedeploySpec
from slipway.verdicts.judge import Answer
from slipway.verdicts.promotion import refusal

REFUSED = {
    RedeploySpec(): {Answer.WORSE},
    RedeploySpec(on_worse="keep"): set(),
    RedeploySpec(on_invalid="restore"): {Answer.WORSE, Answer.INVALID},
    RedeploySpec(on_worse="keep", on_invalid="restore"): {Answer.INVALID},
}


@pytest.mark.parametrize("choice", REFUSED, ids=lambda choice: f"{choice.on_worse}-{choice.on_invalid}")
def test_who_must_go(choice):
    assert {answer for answer in Answer if refusal(answer, "slower", choice)} == REFUSED[choice]


def test_the_reason_is_named():
    assert refusal("worse", "throughput at 4 users -31.0 %", RedeploySpec()) == (
        "the verdict is worse: throughput at 4 users -31.0 %"
    )


def test_without_a_verdict_nothing_is_against_it():
    assert refusal(None, "", RedeploySpec()) == ""
