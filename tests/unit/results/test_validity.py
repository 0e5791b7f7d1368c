from __future__ import annotations

import pytest

from slipway.results.measurement import Distribution, Validity
from slipway.results.validity import Guard, answer_guards, client_guards, gpu_guards, judge, server_guards

FIT = {
    "cpu_share": 0.3,
    "send_lag_p99_s": 0.001,
    "late_share": 0.0,
    "merged_share": 0.01,
    "inexact_share": 0.0,
    "offered_share": 0.995,
    "off_schedule_share": 0.0,
    "unstamped_share": 0.0,
    "clock_step_s": 0.0,
    "clock_bound_share": 0.0,
}
TTFT = Distribution(100, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)


def _guards(figures: dict[str, float], requests: int = 100) -> list[Guard]:
    """Of a client on one machine."""
    return client_guards(figures, TTFT, {"": {**figures, "requests": requests}})


def test_nothing_wrong_is_valid() -> None:
    guards = _guards(FIT) + answer_guards(100, 0, 0) + server_guards({"generation_tokens": 1000}, 1005, 0)
    assert judge(guards) == (Validity.VALID, ())


@pytest.mark.parametrize(
    ("figure", "suspect", "invalid", "words"),
    [
        ("cpu_share", 0.75, 0.97, "of a core"),
        ("send_lag_p99_s", 0.005, 0.11, "left late"),
        ("late_share", 0.02, 0.06, "read late"),
        ("merged_share", 0.2, 0.6, "ITL is smoothed"),
        ("inexact_share", 0.02, 0.6, "unlike their usage"),
        ("offered_share", 0.97, 0.8, "below what was asked"),
        ("off_schedule_share", 0.02, 0.2, "did not leave within 0.1 s of their time"),
        ("clock_step_s", 0.005, 0.03, "clock was moved"),
        ("clock_bound_share", 0.02, 0.06, "its clock is known to"),
    ],
)
def test_each_figure_of_the_client_has_two_limits(figure: str, suspect: float, invalid: float, words: str) -> None:
    for value, expected in ((suspect, Validity.SUSPECT), (invalid, Validity.INVALID)):
        validity, reasons = judge(_guards({**FIT, figure: value}))
        assert validity == expected
        assert len(reasons) == 1
        assert words in reasons[0]
        assert "%" in reasons[0]


def test_in_a_closed_loop_lateness_is_a_part_of_a_users_turn() -> None:
    late = {"": {**FIT, "send_lag_p99_s": 0.005, "requests": 100}}
    turn = Distribution(100, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert judge(client_guards(FIT, TTFT, late, turn))[0] == Validity.VALID
    later = {"": {**FIT, "send_lag_p99_s": 0.03, "requests": 100}}
    assert judge(client_guards(FIT, TTFT, later, turn)) == (
        Validity.SUSPECT,
        ("requests left late: p99 is 3.0% of the median E2E latency",),
    )


@pytest.mark.parametrize(("late", "expected"), [(1, Validity.SUSPECT), (2, Validity.INVALID)])
def test_one_late_sample_of_few_is_no_proof(late: int, expected: Validity) -> None:
    assert judge(_guards({**FIT, "late_share": late / 12}, requests=12))[0] == expected


def test_a_host_that_was_not_fit_is_named_whatever_the_others_were() -> None:
    fit, unfit = {**FIT, "requests": 90}, {**FIT, "requests": 10, "cpu_share": 0.8, "late_share": 0.3}
    assert judge(client_guards(FIT, TTFT, {"": fit, "load-2": unfit})) == (
        Validity.INVALID,
        (
            "load-2: 30.0% of the first tokens were read late",
            "load-2: a load process used 80.0% of a core; use more processes",
        ),
    )


def test_without_the_kernels_times_a_cell_is_suspect_at_most() -> None:
    assert judge(_guards({**FIT, "unstamped_share": 1.0}))[0] == Validity.SUSPECT


@pytest.mark.parametrize(
    ("requests", "failed", "ended_early", "expected"),
    [
        (0, 0, 0, Validity.INVALID),
        (0, 5, 0, Validity.INVALID),
        (1000, 1, 0, Validity.SUSPECT),
        (1000, 20, 0, Validity.INVALID),
        (1000, 0, 1, Validity.SUSPECT),
        (1000, 0, 100, Validity.INVALID),
    ],
)
def test_answers(requests: int, failed: int, ended_early: int, expected: Validity) -> None:
    assert judge(answer_guards(requests, failed, ended_early))[0] == expected


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ({}, Validity.VALID),
        ({"generation_tokens": 1020.0}, Validity.SUSPECT),
        ({"generation_tokens": 980.0}, Validity.SUSPECT),
        ({"generation_tokens": 2000.0}, Validity.INVALID),
        ({"generation_tokens": -5.0}, Validity.INVALID),
        ({"prefix_cache_queries": 1000.0, "prefix_cache_hits": 300.0}, Validity.VALID),
        ({"prefix_cache_queries": 1000.0, "prefix_cache_hits": 350.0}, Validity.SUSPECT),
        ({"prefix_cache_queries": 1000.0, "prefix_cache_hits": 900.0}, Validity.INVALID),
        ({"prefix_cache_queries": 0.0, "prefix_cache_hits": 0.0}, Validity.VALID),
    ],
)
def test_the_servers_own_counters(server: dict[str, float], expected: Validity) -> None:
    assert judge(server_guards(server, arrived_tokens=1000, template_tokens=300))[0] == expected


def test_tokens_on_their_way_when_the_window_ends_are_nobody_elses() -> None:
    assert judge(server_guards({"generation_tokens": 1020.0}, 1000, 0, on_their_way_tokens=12.0))[0] == Validity.VALID
    verdict, reasons = judge(server_guards({"generation_tokens": 960.0}, 1000, 0, on_their_way_tokens=12.0))
    assert (verdict, reasons[0][:46]) == (Validity.SUSPECT, "the server's count of output tokens is 2.8% of")


def test_the_worst_reason_comes_first() -> None:
    guards = [Guard(2, 1, 3, "a"), Guard(9, 1, 3, "b"), Guard(0, 1, 3, "c"), Guard(2, 1, 3, "d")]
    assert judge(guards) == (Validity.INVALID, ("b", "a", "d"))


@pytest.mark.parametrize(
    ("gpu", "validity", "words"),
    [
        ({}, Validity.VALID, ""),
        ({"slowed_share": 0.0, "foreign_processes": 0.0}, Validity.VALID, ""),
        ({"slowed_share": 0.05}, Validity.SUSPECT, "in 5.0% of the looks at a GPU"),
        ({"slowed_share": 0.25}, Validity.INVALID, "heat"),
        ({"foreign_processes": 9.0}, Validity.SUSPECT, "not the deployment's"),
    ],
)
def test_gpus_must_be_ours_alone_and_at_full_speed(gpu: dict[str, float], validity: Validity, words: str) -> None:
    found, reasons = judge(gpu_guards(gpu))
    assert found == validity
    assert words in "".join(reasons)
