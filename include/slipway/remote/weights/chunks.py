"""A model in chunks, and threads that work through them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass

DEFAULT_CHUNK_BYTES = 16 * 1024**2
TICK_S = 10.0


@dataclass(frozen=True)
class Chunk:
    """``length`` bytes of the file ``name`` from ``offset``; ``number`` counts over all files of the model."""

    number: int
    name: str
    offset: int
    length: int


def split(sizes: Iterable[tuple[str, int]], chunk_bytes: int) -> list[Chunk]:
    """The chunks of files, given as pairs of name and size, in their order; an empty file has none."""
    chunks: list[Chunk] = []
    for name, size in sizes:
        for offset in range(0, size, chunk_bytes):
            chunks.append(Chunk(len(chunks), name, offset, min(chunk_bytes, size - offset)))
    return chunks


def work_through(
    chunks: Sequence[Chunk],
    open_worker: Callable[[], AbstractContextManager[Callable[[Chunk], None]]],
    threads: int,
    tick: Callable[[], None],
) -> None:
    """Give every chunk to one of several threads, each with a worker of its own.

    ``tick`` is called every 10 s meanwhile. The first error of a worker stops them all and is raised.
    """
    pending: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
    for chunk in chunks:
        pending.put(chunk)
    stopped = threading.Event()

    def work() -> None:
        try:
            with open_worker() as worker:
                while not stopped.is_set():
                    worker(pending.get_nowait())
        except queue.Empty:
            return
        finally:
            stopped.set()

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(work) for _ in range(threads)]
        try:
            while wait(running, timeout=TICK_S).not_done:
                tick()
        finally:
            stopped.set()
    for done in running:
        done.result()
