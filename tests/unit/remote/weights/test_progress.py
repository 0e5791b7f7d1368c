"""What is said of a copy under way, and the limit on its speed."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from slipway.remote.weights import progress
from slipway.remote.weights.progress import GIB, Pace, Progress


@pytest.mark.parametrize(
    ("seconds", "copied", "resumed", "line"),
    [
        (2, 1.5 * GIB, 0, "staged 1.5 of 4.0 GiB, 768 MiB/s, 3 s left"),
        (2, 1 * GIB, 1 * GIB, "staged 2.0 of 4.0 GiB, 1024 MiB/s, 2 s left"),
        (100, 1 * GIB, 0, "staged 1.0 of 4.0 GiB, 10 MiB/s, 5 min left"),
        (36_000, 2 * GIB, 0, "staged 2.0 of 4.0 GiB, 0 MiB/s, 10 h 0 min left"),
        (5, 0, 0, "staged 0.0 of 4.0 GiB, 0 MiB/s"),
    ],
)
def test_the_line(monkeypatch: pytest.MonkeyPatch, seconds: float, copied: int, resumed: int, line: str) -> None:
    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    seen = Progress("staged", 4 * GIB)
    seen.add(copied=copied)
    seen.add(resumed=resumed)
    now[0] += seconds
    assert seen.line() == line


def test_the_rate_is_that_of_the_last_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    seen = Progress("staged", 4 * GIB)
    for copied, line in (
        (2 * GIB, "2.0 of 4.0 GiB, 2048 MiB/s, 1 s left"),
        (GIB, "3.0 of 4.0 GiB, 1024 MiB/s, 1 s left"),
    ):
        now[0] += 1
        seen.add(copied=copied)
        assert seen.line() == f"staged {line}"


def test_several_threads_share_one_limit() -> None:
    pace = Pace(10_000)
    began = time.monotonic()
    threads = [threading.Thread(target=pace.take, args=(500,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 0.2


def test_without_a_limit_nobody_waits() -> None:
    pace = Pace(None)
    began = time.monotonic()
    for _ in range(1000):
        pace.take(10**9)
    assert time.monotonic() - began < 1
