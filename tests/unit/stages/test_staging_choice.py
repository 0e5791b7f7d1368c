"""Stage or not, by what was measured: pure tables."""

from __future__ import annotations

import pytest

from slipway.facts.weights import Speeds
from slipway.stages.staging_choice import Prediction, choose, predict

GIB = 2**30
SLOW_STORE = Speeds(source=1 * GIB, disk_written=2 * GIB, disk_read=5 * GIB)
FAST_STORE = Speeds(source=10 * GIB, disk_written=2 * GIB, disk_read=5 * GIB)
EVEN = Speeds(source=5 * GIB, disk_written=2 * GIB, disk_read=5.2 * GIB)


def test_the_prediction():
    assert predict(100 * GIB, SLOW_STORE) == Prediction(stage_s=100, load_disk_s=20, load_source_s=100)
    assert predict(100 * GIB, FAST_STORE) == Prediction(stage_s=50, load_disk_s=20, load_source_s=10)
    assert predict(GIB, Speeds(None, GIB, GIB)) is None


@pytest.mark.parametrize(
    ("one", "other", "stage"),
    [
        (SLOW_STORE, SLOW_STORE, True),
        (FAST_STORE, FAST_STORE, False),
        (FAST_STORE, SLOW_STORE, True),
        (EVEN, EVEN, False),
    ],
    ids=["slow store", "fast store", "one host has a slow way to it", "hardly a gain"],
)
def test_the_quicker_load_on_the_slowest_host_decides(one, other, stage):
    choice = choose(100 * GIB, {"a": one, "b": other}, {})
    assert choice.stage is stage
    assert choice.reason.startswith("a load would take ")
    assert set(choice.detail["predicted"]) == {"a", "b"}


def test_without_room_the_source_is_served():
    choice = choose(100 * GIB, {"a": SLOW_STORE}, {"a": GIB})
    assert (choice.stage, choice.reason) == (False, "a: the disk has no room for it")


def test_what_is_too_small_to_measure_is_staged():
    choice = choose(GIB, {"a": SLOW_STORE, "b": Speeds(None, None, None)}, {})
    assert (choice.stage, choice.reason) == (True, "too small to measure")
