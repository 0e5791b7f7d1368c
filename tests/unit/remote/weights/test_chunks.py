"""A model in chunks, and the threads that work through them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from slipway.remote.weights import chunks
from slipway.remote.weights.chunks import Chunk, split, work_through

Work = Callable[[Chunk], None]


def worker(work: Work, closed: list[bool]) -> Callable[[], AbstractContextManager[Work]]:
    @contextmanager
    def opened() -> Iterator[Work]:
        try:
            yield work
        finally:
            closed.append(True)

    return opened


def test_files_are_split_in_their_order() -> None:
    assert split([("a", 10), ("empty", 0), ("b", 4)], 4) == [
        Chunk(0, "a", 0, 4),
        Chunk(1, "a", 4, 4),
        Chunk(2, "a", 8, 2),
        Chunk(3, "b", 0, 4),
    ]


def test_every_chunk_is_worked_on_once_and_every_worker_is_closed() -> None:
    many = split([("a", 1000)], 1)
    done: list[Chunk] = []
    closed: list[bool] = []
    work_through(many, worker(done.append, closed), 4, lambda: None)
    assert sorted(done, key=lambda chunk: chunk.number) == many
    assert len(closed) == 4


def test_the_first_error_stops_all_and_is_raised() -> None:
    done: list[Chunk] = []
    closed: list[bool] = []

    def work(chunk: Chunk) -> None:
        if chunk.number == 2:
            raise OSError("broken")
        done.append(chunk)

    with pytest.raises(OSError, match="broken"):
        work_through(split([("a", 1000)], 1), worker(work, closed), 1, lambda: None)
    assert [chunk.number for chunk in done] == [0, 1]
    assert closed == [True]


def test_the_clock_ticks_while_threads_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "TICK_S", 0.01)
    ticked = threading.Event()
    work_through(split([("a", 1)], 1), worker(lambda chunk: ticked.wait(10) and None, []), 1, ticked.set)
    assert ticked.is_set()
