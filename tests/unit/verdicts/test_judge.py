from __future__ import annotations

import random
from dataclasses import replace

import pytest
from testbed.measured import flat, measured

from slipway.results import Goodput, Measurement, Validity
from slipway.spec.judging import VerdictSpec
from slipway.verdicts.judge import Answer, Past, judge


def cell(throughput: float, tpot: float = 0.020, users: int = 10, validity: Validity = Validity.VALID) -> Measurement:
    return measured(
        users=users,
        prompt_tokens=0,
        output_tokens=0,
        requests_per_s=1,
        output_tokens_per_s=throughput,
        ttft=flat(0.2),
        itl=flat(tpot),
        tpot=flat(tpot),
        e2e=flat(2.0),
        validity=validity,
        reasons=("client CPU 95 %",) if validity is not Validity.VALID else (),
    )


STEADY = {"10 users": [cell(1000), cell(1010), cell(990), cell(1005)]}
"""Median 1002.5 tokens/s."""

DEFAULT = VerdictSpec()


def verdict(*cells: Measurement, history=STEADY, limits=DEFAULT, **more):
    starts_s, unlike = more.pop("starts_s", ()), more.pop("unlike", ())
    return judge(cells, Past(history, starts_s, unlike), limits, **more)


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
    found = verdict(now)
    assert found.answer is answer
    assert "10 users" in found.reason


def test_the_reason_has_the_figures_and_their_direction():
    assert verdict(cell(900)).reason == "throughput at 10 users -10.2 % (900 tokens/s, else 1002)"
    assert verdict(cell(1000, tpot=0.025)).reason == "TPOT p50 at 10 users +25.0 % (25 ms, else 20)"


def test_the_files_thresholds_decide():
    wide = VerdictSpec(throughput_percent=20, tpot_percent=50)
    assert verdict(cell(900), limits=wide).answer is Answer.SAME
    assert verdict(cell(1000, tpot=0.025), limits=wide).answer is Answer.SAME


def test_noise_widens_the_band():
    noisy = {"10 users": [cell(value) for value in (800, 1000, 1200, 900, 1100)]}
    assert verdict(cell(850), history=noisy).answer is Answer.SAME


def test_one_outlier_in_the_history_moves_nothing():
    odd = {"10 users": [*STEADY["10 users"], cell(10)]}
    assert verdict(cell(1003), history=odd).answer is Answer.SAME
    assert verdict(cell(900), history=odd).answer is Answer.WORSE


@pytest.mark.parametrize("count", [0, 1, 2])
def test_not_enough_history(count):
    found = verdict(cell(1000), history={"10 users": [cell(1000)] * count})
    assert found.answer is Answer.NOT_ENOUGH_HISTORY
    assert found.reason == f"{count} of the 3 earlier valid runs that a comparison needs"


def test_every_level_needs_history():
    assert verdict(cell(1000), cell(1, users=50)).answer is Answer.NOT_ENOUGH_HISTORY
    assert verdict(cell(1200), cell(1, users=50)).answer is Answer.NOT_ENOUGH_HISTORY
    assert verdict().answer is Answer.NOT_ENOUGH_HISTORY


def test_worse_at_a_level_with_history_is_worse_whatever_the_others_lack():
    found = verdict(cell(800), cell(1, users=50))
    assert (found.answer, found.reason[:27]) == (Answer.WORSE, "throughput at 10 users -20.")


def test_a_history_of_another_kind_alone_is_not_comparable():
    found = verdict(cell(1000), history={}, unlike=["accelerator 8 x H800 then, 8 x H20 now"])
    assert found.answer is Answer.NOT_COMPARABLE
    assert "8 x H800 then, 8 x H20 now" in found.reason


def test_a_history_of_both_kinds_is_judged_by_its_own():
    assert verdict(cell(1000), unlike=["hosts"]).answer is Answer.SAME
    short = verdict(cell(1000), history={"10 users": [cell(1000)]}, unlike=["hosts"])
    assert short.answer is Answer.NOT_ENOUGH_HISTORY


def test_an_invalid_cell_is_no_verdict():
    found = verdict(cell(10, validity=Validity.INVALID))
    assert found.answer is Answer.INVALID
    assert "client CPU" in found.reason


def test_one_worse_level_decides():
    history = {"10 users": STEADY["10 users"], "50 users": [cell(2000, users=50)] * 3}
    found = verdict(cell(1200), cell(1500, users=50), history=history)
    assert found.answer is Answer.WORSE
    assert "50 users" in found.reason
    assert "10 users" not in found.reason


def test_an_open_loop_has_its_own_history():
    open_loop = replace(cell(1000, users=0), rate=12.5)
    found = verdict(replace(open_loop, output_tokens_per_s=800), history={"12.5 req/s": [open_loop] * 3})
    assert found.answer is Answer.WORSE
    assert "throughput at 12.5 req/s -20.0 %" in found.reason
    assert verdict(open_loop).answer is Answer.NOT_ENOUGH_HISTORY


class TestGoodput:
    def keeping(self, requests_per_s: float, ttft_s: float = 1.0):
        goodput = Goodput({"ttft_s": ttft_s}, 90, 0.9, requests_per_s)
        return replace(cell(1000), goodput=goodput)

    def test_it_decides(self):
        history = {"10 users": [self.keeping(4)] * 3}
        assert verdict(self.keeping(4), history=history).answer is Answer.SAME
        found = verdict(self.keeping(2), history=history)
        assert (found.answer, found.reason) == (Answer.WORSE, "goodput at 10 users -50.0 % (2 req/s, else 4)")

    def test_other_limits_are_no_history(self):
        history = {"10 users": [self.keeping(4, ttft_s=2.0)] * 3}
        assert verdict(self.keeping(2), history=history).answer is Answer.SAME


class TestTimeToReady:
    @pytest.mark.parametrize(
        ("start_s", "answer"), [(100, Answer.SAME), (120, Answer.SAME), (150, Answer.WORSE), (60, Answer.BETTER)]
    )
    def test_it_decides_where_the_run_started_the_server(self, start_s, answer):
        assert verdict(cell(1000), starts_s=[100, 101, 99], start_s=start_s).answer is answer

    def test_its_sentence_names_no_users(self):
        found = verdict(cell(1000), starts_s=[100, 100, 100], start_s=150.0)
        assert found.reason == "time to ready +50.0 % (150 s, else 100)"

    def test_without_a_start_or_a_history_of_starts_it_is_left_out(self):
        assert verdict(cell(1000), starts_s=[100, 101, 99]).answer is Answer.SAME
        assert verdict(cell(1000), starts_s=[100, 101], start_s=500).answer is Answer.SAME


class TestWatched:
    def test_a_p99_is_mentioned_and_decides_nothing(self):
        found = verdict(replace(cell(1000), ttft=flat(0.5)))
        assert found.answer is Answer.SAME
        assert found.reason.endswith("; watched: TTFT p99 at 10 users +150.0 % (500 ms, else 200)")
        assert "watched" not in verdict(replace(cell(1000), ttft=flat(0.21))).reason

    def test_its_threshold_is_in_the_file(self):
        calm = VerdictSpec(p99_percent=200)
        assert "watched" not in verdict(replace(cell(1000), ttft=flat(0.5)), limits=calm).reason

    def test_a_level_without_it_is_judged_by_the_rest(self):
        assert verdict(replace(cell(1000), ttft=None, tpot=None, e2e=None)).answer is Answer.SAME


class TestExplained:
    def test_a_change_is_told_with_what_may_explain_it(self):
        found = verdict(cell(900)).explained(["vllm 0.32.0 -> 0.33.0", "serve.args.seed 1 -> 2"])
        assert found.reason.endswith("; may explain it: vllm 0.32.0 -> 0.33.0, serve.args.seed 1 -> 2")
        assert verdict(cell(1100)).explained([]).reason.endswith("; nothing else that is known has changed")

    def test_where_nothing_changed_there_is_nothing_to_explain(self):
        same = verdict(cell(1000))
        assert same.explained(["vllm 0.32.0 -> 0.33.0"]) == same


@pytest.mark.parametrize("noise", [0.01, 0.02])
def test_known_truth(noise):
    """A fast form of benchmarks/verdict.py: two levels, five runs of history."""
    chance = random.Random(7)

    def run(shift: float) -> Answer:
        def drawn(users: int, lower: float) -> Measurement:
            factor = (1 - lower) * chance.gauss(1, noise)
            return cell(100 * users * factor, 0.02 / factor, users)

        history = {f"{users} users": [drawn(users, 0) for _ in range(5)] for users in (10, 50)}
        return verdict(drawn(10, shift), drawn(50, shift), history=history).answer

    quiet, shifted = [run(0) for _ in range(600)], [run(0.10) for _ in range(300)]
    assert sum(answer is not Answer.SAME for answer in quiet) < 6
    assert sum(answer is Answer.WORSE for answer in shifted) >= 285
