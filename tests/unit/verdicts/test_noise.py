from __future__ import annotations

import pytest

from slipway.verdicts.noise import limit_percent, pair_limit_percent

QUIET = [1000, 1001, 999, 1000, 1002]


def test_a_quiet_history_is_judged_near_the_files_threshold():
    assert 5 <= limit_percent(QUIET, 5, 2) < 7


def test_it_is_never_below_the_files_threshold():
    assert limit_percent(QUIET * 20, 5, 1) == 5


def test_a_noisier_history_has_a_wider_band():
    limits = [limit_percent([1000 + spread * each for each in (-2, -1, 0, 1, 2)], 5, 2) for spread in (1, 20, 40, 100)]
    assert limits == sorted(limits)
    assert limits[-1] > 40


def test_each_of_many_comparisons_must_be_the_rarer():
    assert limit_percent(QUIET, 5, 8) > limit_percent(QUIET, 5, 2)


def test_one_outlier_does_not_widen_it_much():
    assert limit_percent([*QUIET, 10], 5, 2) == pytest.approx(limit_percent([*QUIET, 1000], 5, 2), rel=0.02)


def test_a_history_of_nothing_is_no_division_by_zero():
    assert limit_percent([0, 0, 0], 5, 2) >= 5


def test_two_single_runs_may_differ_more_than_a_run_from_a_median():
    noisy = [940, 1000, 1060, 980, 1020]
    assert pair_limit_percent(noisy, 1, 2) > limit_percent(noisy, 1, 2)
    assert pair_limit_percent(QUIET * 20, 5, 1) == 5
