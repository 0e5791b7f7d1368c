"""The causes of an end, and when a restart helps: pure tables."""

from __future__ import annotations

import re

import pytest

from slipway.remote.agent import healing
from slipway.remote.agent.healing import KernelKills, cause_of, judged
from slipway.remote.agent.wanted import Cause, Restart
from slipway.stages.serve import causes

ONCE = Cause("kernel-oom", re.compile("Out of memory"), 1)
RESTART = Restart(3, 600.0, (Cause("cuda-oom", re.compile("CUDA out of memory"), 0), ONCE))


def ends(*causes: str, at: float = 1000.0) -> list[dict]:
    return [{"at": at + index, "cause": cause} for index, cause in enumerate(causes)]


@pytest.mark.parametrize(
    ("before", "cause", "against"),
    [
        ([], "signal", ""),
        (ends("signal", "signal"), "signal", ""),
        (ends("signal", "wedged", "unknown"), "signal", "started again 3 times in 600 s"),
        (ends("signal", "wedged", "unknown", at=100.0), "signal", ""),
        ([], "cuda-oom", "a restart does not help"),
        ([], "kernel-oom", ""),
        (ends("signal"), "kernel-oom", ""),
        (ends("kernel-oom"), "kernel-oom", "for this cause started again 1 times in 600 s"),
        (ends("kernel-oom", at=100.0), "kernel-oom", ""),
        ([{"at": 1000.0, "code": None, "signal": 9}], "signal", ""),
    ],
)
def test_whether_it_is_started_again(before, cause, against):
    assert judged(RESTART, before, cause, at=1100.0) == (cause, against)


@pytest.mark.parametrize(
    ("said", "number", "killed", "cause"),
    [
        ("", None, False, "unknown"),
        ("", 9, False, "signal"),
        ("", 9, True, "kernel-oom"),
        ("torch: CUDA out of memory. Tried", None, False, "cuda-oom"),
        ("torch: CUDA out of memory. Tried", 6, False, "cuda-oom"),
    ],
)
def test_the_cause(said, number, killed, cause):
    assert cause_of(RESTART, said, number=number, killed_for_memory=killed) == cause


def test_one_that_hangs_is_ended_also_where_nothing_is_started_again():
    assert judged(Restart(), [], "wedged", at=0.0) == ("wedged", "it is not to be started again by itself")


def test_what_the_catalogue_says_of_restarts():
    """Want of memory once, a lost worker as often as may be, what only a change helps against never."""
    times = {each["id"]: each["times"] for each in causes()}
    wanted = {"kernel-oom": 1, "cuda-oom": 1, "worker-died": 3, "proc-sigkill": 3, "arg-unknown": 0, "ecc": 0}
    assert {name: times[name] for name in wanted} == wanted
    known = (Cause(each["id"], re.compile(each["pattern"]), each["times"]) for each in causes())
    said = "ERROR Worker proc VllmWorker-1 died unexpectedly, shutting down executor."
    assert cause_of(Restart(3, 600.0, tuple(known)), said, number=None, killed_for_memory=False) == "worker-died"


def test_the_kernels_count(tmp_path, monkeypatch):
    vmstat = tmp_path / "vmstat"
    monkeypatch.setattr(healing, "VMSTAT", vmstat)
    assert not KernelKills().look(), "a kernel without the count"
    vmstat.write_text("nr_free_pages 7\noom_kill 3\n")
    kills = KernelKills()
    assert not kills.look(), "those before the server"
    vmstat.write_text("nr_free_pages 7\noom_kill 4\n")
    assert kills.look()
    assert kills.look(), "and for a while after"
    monkeypatch.setattr(healing, "OOM_RECENT_S", 0.0)
    assert not kills.look()
