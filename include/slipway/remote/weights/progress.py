"""How far a copy is, said every ten seconds, and how fast it may go."""

from __future__ import annotations

import sys
import threading
import time

MIB = 1024**2
GIB = 1024**3


class Progress:
    """Bytes that are done: copied now, or resumed from an earlier attempt. Safe to use from several threads."""

    def __init__(self, verb: str, total_bytes: int) -> None:
        """``verb`` begins each line, as in "staged 1.2 of 4.0 GiB"."""
        self.copied_bytes = 0
        self.resumed_bytes = 0
        self._verb = verb
        self._total_bytes = total_bytes
        self._began = time.monotonic()
        self._said = (self._began, 0)
        self._adding = threading.Lock()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def add(self, *, copied: int = 0, resumed: int = 0) -> None:
        with self._adding:
            self.copied_bytes += copied
            self.resumed_bytes += resumed

    def line(self) -> str:
        """For example ``staged 1.2 of 4.0 GiB, 812 MiB/s, 4 s left``; the rate is that since the line before."""
        done, now = self.copied_bytes + self.resumed_bytes, time.monotonic()
        (before, done_before), self._said = self._said, (now, done)
        rate = (done - done_before) / max(now - before, 0.001)
        left = f", {_span((self._total_bytes - done) / rate)} left" if rate else ""
        return f"{self._verb} {done / GIB:.1f} of {self._total_bytes / GIB:.1f} GiB, {rate / MIB:.0f} MiB/s{left}"

    def say(self) -> None:
        """Write the line to standard error."""
        sys.stderr.write(self.line() + "\n")
        sys.stderr.flush()


class Pace:
    """A limit on the bytes a second that several threads read together; none where ``bytes_per_s`` is None."""

    def __init__(self, bytes_per_s: float | None) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = time.monotonic()
        self._taking = threading.Lock()

    def take(self, count: int) -> None:
        """Wait until ``count`` more bytes may be read."""
        if self._bytes_per_s is None:
            return
        with self._taking:
            now = time.monotonic()
            begin = max(now, self._free_at)
            self._free_at = begin + count / self._bytes_per_s
        time.sleep(begin - now)


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
