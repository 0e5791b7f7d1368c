"""The progress line of a cell, as it stands in the log of its task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from slipway.loadgen.conduct import Conductor


def test_a_line_says_what_was_done_so_far_by_all_processes(
    plan_for: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("slipway.loadgen.conduct.PROGRESS_S", 0.1)
    conductor = Conductor(plan_for("http://h:1", users=5, processes=2), SimpleNamespace())
    shown = gevent.spawn(conductor.show_progress)
    tally = {"users": 2, "requests": 10, "failures": 1, "tokens": 0}
    conductor.note_tally("one", tally)
    conductor.note_tally("two", {**tally, "users": 3, "tokens": 100})
    gevent.sleep(0.15)
    shown.kill()
    line, *_ = capsys.readouterr().err.splitlines()
    assert line.startswith("spawning: 5 users, 20 requests done, 2 failed, ")
    assert 0 < float(line.split(", ")[-1].removesuffix(" tok/s")) <= 1001


def test_who_did_not_come_is_named(plan_for: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_for("http://h:1", users=5, processes=4, workers={"load-2": 2, "load-3": 1}, master=("10.0.0.1", 5557))
    conductor = Conductor(plan, SimpleNamespace())
    for host in ("", "load-2"):
        conductor.note_here(host)
    conductor.name_the_late(0.01)
    said = capsys.readouterr().err
    assert said == "2 of 4 load processes (1 on load-2, 1 on load-3) did not come within 0.01 s\n"
    for host in ("load-2", "load-3"):
        conductor.note_here(host)
    conductor.name_the_late(0.01)
    assert capsys.readouterr().err == ""
