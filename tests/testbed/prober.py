"""Requests sent all through, one small completion after the other, from a thread of its own; what became of them."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

EVERY_S = 0.25
TIMEOUT_S = 10.0


@dataclass
class Answers:
    """Each request by when it began and when it ended, and whether it was answered with 200."""

    sent: list[tuple[float, float, bool]] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(not ok for _, _, ok in self.sent)

    @property
    def outage_s(self) -> float:
        """Seconds from the last good answer before the first failure to the first good one after the last."""
        failures = [place for place, (_, _, ok) in enumerate(self.sent) if not ok]
        if not failures:
            return 0.0
        before, after = self.sent[max(0, failures[0] - 1)], self.sent[min(len(self.sent) - 1, failures[-1] + 1)]
        return after[1] - before[1]

    def __str__(self) -> str:
        lasted = f", from the last answer before to the first after {self.outage_s:.1f} s" if self.failed else ""
        return f"{self.failed} of {len(self.sent)} requests failed{lasted}"


@contextmanager
def probing(endpoint: str, model: str) -> Iterator[Answers]:
    """Ask for one token every quarter of a second as long as this lasts, and print what became of the requests."""
    answers, done = Answers(), threading.Event()
    body = json.dumps({"model": model, "prompt": "Hello", "max_tokens": 1}).encode()

    def ask() -> None:
        while not done.is_set():
            began = time.monotonic()
            ok = _answered(f"{endpoint}/v1/completions", body)
            answers.sent.append((began, time.monotonic(), ok))
            done.wait(EVERY_S)

    thread = threading.Thread(target=ask, name="prober")
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()
        print(answers)


def _answered(url: str, body: bytes) -> bool:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            answer.read()
            return answer.status == 200
    except OSError:
        return False
